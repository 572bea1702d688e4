-- The Merkle tree over the chain, and who signed its root.

-- Roots of complete subtrees of 256, 65,536, … events (levels 8, 16, …): with them a root or a proof reads few rows.
CREATE TABLE tile (
  level    INTEGER NOT NULL,
  position INTEGER NOT NULL,
  sha256   BLOB NOT NULL CHECK (length(sha256) = 32),
  PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

-- Digests of events that were trimmed, as far as their tile is not trimmed whole.
CREATE TABLE trimmed_leaf (
  seq    INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL CHECK (length(sha256) = 32)
) STRICT;

CREATE TRIGGER event_trimmed BEFORE DELETE ON event BEGIN
  INSERT OR IGNORE INTO trimmed_leaf VALUES (OLD.seq, OLD.sha256);
  DELETE FROM trimmed_leaf WHERE seq <= OLD.seq / 256 * 256;
END;

-- The last checkpoint that was signed within each 256 events; every commit signs one.
CREATE TABLE checkpoint (
  tile INTEGER PRIMARY KEY,            -- (size - 1) / 256
  size INTEGER NOT NULL,
  note BLOB NOT NULL
) STRICT;

-- The last receipt of the port for each 256 events, with the certificate (DER) of the gateway that signed it.
CREATE TABLE receipt (
  tile        INTEGER PRIMARY KEY,
  size        INTEGER NOT NULL,
  note        BLOB NOT NULL,
  certificate BLOB NOT NULL
) STRICT;
