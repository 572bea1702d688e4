-- What the port expects of this booth. A copy: whatever is wrong with it, the port sends it again.

-- One row: the state of the port's list that is held, and when the port last said that it is the newest.
CREATE TABLE held (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  list             BLOB,              -- an ExpectationList; NULL: none
  generation       INTEGER NOT NULL,  -- of the rows in use; a list that is being sent anew has the next one
  confirmed_utc_us INTEGER            -- by the booth's clock
) STRICT;
INSERT INTO held VALUES (1, NULL, 0, NULL);

CREATE TABLE crossing (
  generation     INTEGER NOT NULL,
  id             TEXT NOT NULL,
  message        BLOB NOT NULL,       -- an ExpectedCrossing
  expires_utc_us INTEGER NOT NULL,
  PRIMARY KEY (generation, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX crossing_expires ON crossing (expires_utc_us);

-- Plates and container codes, O as 0 and I as 1, in two halves: of two texts as long that differ in one character, one
-- half is the same.
CREATE TABLE identifier (
  generation INTEGER NOT NULL,
  id         TEXT NOT NULL,
  kind       TEXT NOT NULL,
  head       TEXT NOT NULL,
  tail       TEXT NOT NULL,
  PRIMARY KEY (generation, id, kind, head, tail)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifier_head ON identifier (generation, kind, head, length(tail));
CREATE INDEX identifier_tail ON identifier (generation, kind, tail, length(head));
