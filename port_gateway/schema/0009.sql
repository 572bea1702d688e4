-- Retention: which inspection brought which evidence, how long it is kept, and what was deleted.

-- One row for each inspection of which more than nothing was found (domain/retention.py: Standing).
CREATE TABLE inspection_standing (
    booth_id       TEXT NOT NULL,
    inspection_id  TEXT NOT NULL,
    standing       INTEGER NOT NULL,
    PRIMARY KEY (booth_id, inspection_id)
) STRICT, WITHOUT ROWID;

-- Evidence that an event names and that was not deleted. Its file goes when all its rows are over, and none is held.
CREATE TABLE evidence_use (
    sha256           BLOB NOT NULL,
    booth_id         TEXT NOT NULL,
    inspection_id    TEXT NOT NULL,      -- '' where the event is about none
    kind             TEXT NOT NULL,
    size             INTEGER NOT NULL,
    standing         INTEGER NOT NULL,
    received_utc_us  INTEGER NOT NULL,   -- of the event: from here its days count
    PRIMARY KEY (sha256, booth_id, inspection_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_use_over ON evidence_use (kind, standing, received_utc_us, sha256);
CREATE INDEX evidence_use_of ON evidence_use (inspection_id, booth_id);

-- What is gone by policy, which is not the same as lost.
CREATE TABLE deleted_evidence (
    sha256     BLOB PRIMARY KEY,
    at_utc_us  INTEGER NOT NULL,
    place      TEXT NOT NULL,            -- 'port'; 'booth': deleted there before the port was offered it
    rule       TEXT NOT NULL,            -- in words, as the settings stood
    kind       TEXT NOT NULL,
    size       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Files still to be removed: noted with the deletion, so that a kill in between leaves none behind.
CREATE TABLE doomed_evidence (sha256 BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;

-- Inspections whose evidence stays, whatever the settings say.
CREATE TABLE legal_hold (
    inspection_id  TEXT PRIMARY KEY,
    reason         TEXT NOT NULL,
    by_whom        TEXT NOT NULL,
    at_utc_us      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who held, released, asked or let delete. Rows are only ever added; no plate stands here.
CREATE TABLE retention_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at_utc_us  INTEGER NOT NULL,
    by_whom    TEXT NOT NULL,
    what       TEXT NOT NULL,            -- 'hold', 'release', 'about', 'run'
    detail     TEXT NOT NULL             -- inspection ids and reasons
) STRICT;
