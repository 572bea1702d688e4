-- Of every chain's Merkle tree the roots of complete subtrees of 256, 65,536, … events (levels 8, 16, …): with them a root
-- or a proof reads a few hundred rows. A chain that was here before has none until its next event.
CREATE TABLE tile (
    booth_id  TEXT NOT NULL,
    epoch     BLOB NOT NULL,
    level     INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    sha256    BLOB NOT NULL,
    PRIMARY KEY (booth_id, epoch, level, position)
) STRICT, WITHOUT ROWID;
