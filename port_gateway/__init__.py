"""The port's side: verifies, keeps and fans out what booths stream. Needs no booth library."""
