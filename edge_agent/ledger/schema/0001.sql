-- The ledger. Rows of `event` are only ever added; their envelopes are what was signed, byte for byte.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,              -- 'booth_id', 'epoch'
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  seq           INTEGER PRIMARY KEY CHECK (seq > 0),
  id            TEXT NOT NULL UNIQUE,  -- UUID
  kind          TEXT NOT NULL,         -- the body's name in event.proto
  inspection_id TEXT NOT NULL,         -- '' where there is none
  sha256        BLOB NOT NULL CHECK (length(sha256) = 32),  -- of the envelope
  envelope      BLOB NOT NULL
) STRICT;

-- Finds inspections that were opened and never closed.
CREATE INDEX event_by_inspection ON event (kind, inspection_id) WHERE inspection_id <> '';

CREATE TABLE cursor (
  sink          TEXT PRIMARY KEY,      -- who acknowledges: 'port'
  acked_through INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (
  position   INTEGER PRIMARY KEY,      -- in the order of their events
  sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  kind       TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size       INTEGER NOT NULL,
  seq        INTEGER NOT NULL REFERENCES event (seq),       -- the first event that brought it
  state      TEXT NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'sent', 'lost'))
) STRICT;

CREATE INDEX blob_kept ON blob (position) WHERE state = 'kept';
