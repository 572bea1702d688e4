-- Retention by class: evidence waits for a finding, or goes before its event, as the settings say.

CREATE TABLE blob_3 (
  position   INTEGER PRIMARY KEY,      -- in the order of their events
  sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  kind       TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size       INTEGER NOT NULL,
  seq        INTEGER NOT NULL,         -- the last event that brought it; it may be trimmed before the blob
  state      TEXT NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'sent', 'lost', 'shed', 'waiting', 'deleted')),
  sent_run_s INTEGER,                  -- when the port acknowledged it
  standing   INTEGER NOT NULL DEFAULT 0,   -- the highest of the inspections that brought it (domain/retention.py)
  waits_since_run_s INTEGER            -- when it came, while it waits for a finding
) STRICT;
-- What is here already is kept as before: of its inspections nothing is known now.
INSERT INTO blob_3 SELECT position, sha256, kind, media_type, size, seq, state, sent_run_s, 1, NULL FROM blob;
DROP TABLE blob;
ALTER TABLE blob_3 RENAME TO blob;
CREATE INDEX blob_kept ON blob (position) WHERE state = 'kept';
CREATE INDEX blob_sent ON blob (sent_run_s, position) WHERE state = 'sent';
CREATE INDEX blob_gone ON blob (seq) WHERE state IN ('lost', 'shed', 'deleted');
CREATE INDEX blob_waiting ON blob (position) WHERE state = 'waiting';
CREATE INDEX blob_class ON blob (kind, standing, sent_run_s) WHERE state = 'sent';

-- Which inspections brought it: a finding of any keeps it.
CREATE TABLE brought (
  inspection_id TEXT NOT NULL,
  sha256        BLOB NOT NULL,
  PRIMARY KEY (inspection_id, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX brought_evidence ON brought (sha256);

CREATE TRIGGER blob_dropped AFTER DELETE ON blob BEGIN
  DELETE FROM brought WHERE sha256 = OLD.sha256;
END;

-- Inspections that more than nothing was found of. A row goes when its event is trimmed.
CREATE TABLE standing (
  inspection_id TEXT PRIMARY KEY,
  standing      INTEGER NOT NULL,
  seq           INTEGER NOT NULL      -- of the event that said so last
) STRICT, WITHOUT ROWID;
