"""Pictures of plates and container codes, drawn for training: no photo is needed, and one seed gives one picture."""
