-- Retention: events and evidence are kept for a time after the port has acknowledged them, then trimmed from the oldest
-- end. That time is counted in seconds for which agents ran on this ledger (run_s): no clock that can jump.

-- One row: how long agents have run on this ledger, and where the events that are kept begin.
CREATE TABLE kept (
  id             INTEGER PRIMARY KEY CHECK (id = 1),
  run_s          INTEGER NOT NULL,
  trimmed_seq    INTEGER NOT NULL,     -- the last event trimmed; 0: none
  trimmed_sha256 BLOB NOT NULL CHECK (length(trimmed_sha256) = 32),
  session        BLOB,                 -- the envelope that opened the session in force there; NULL at 0
  announced_seq  INTEGER NOT NULL,     -- what the last EventsTrimmed says will be trimmed, and when that was
  announced_run_s INTEGER NOT NULL
) STRICT;
INSERT INTO kept VALUES (1, 0, 0, zeroblob(32), NULL, 0, 0);

-- When the port's acknowledgement reached which event.
CREATE TABLE acknowledged (
  through INTEGER PRIMARY KEY,
  run_s   INTEGER NOT NULL
) STRICT;
INSERT INTO acknowledged SELECT acked_through, 0 FROM cursor WHERE sink = 'port' AND acked_through > 0;

CREATE TABLE blob_2 (
  position   INTEGER PRIMARY KEY,      -- in the order of their events
  sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  kind       TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size       INTEGER NOT NULL,
  seq        INTEGER NOT NULL,         -- the last event that brought it; it may be trimmed before the blob
  state      TEXT NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'sent', 'lost', 'shed')),
  sent_run_s INTEGER                   -- when the port acknowledged it
) STRICT;
INSERT INTO blob_2 SELECT position, sha256, kind, media_type, size, seq, state, iif(state = 'sent', 0, NULL) FROM blob;
DROP TABLE blob;
ALTER TABLE blob_2 RENAME TO blob;
CREATE INDEX blob_kept ON blob (position) WHERE state = 'kept';
CREATE INDEX blob_sent ON blob (sent_run_s, position) WHERE state = 'sent';

CREATE INDEX blob_gone ON blob (seq) WHERE state IN ('lost', 'shed');

-- Files to be removed: noted with the change that makes them unwanted, so that a kill in between leaves none behind.
CREATE TABLE doomed (
  sha256 BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
