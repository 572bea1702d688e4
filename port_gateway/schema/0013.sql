-- Events have an end: the row stays with its place and digest, the bytes go. And since when a clock is believed.

-- One row for each event about a vehicle, from when a believed clock saw it first until its bytes are gone.
CREATE TABLE event_kept (
    cursor         INTEGER PRIMARY KEY,
    booth_id       TEXT NOT NULL,
    inspection_id  TEXT NOT NULL,      -- '' where it is about none
    standing       INTEGER NOT NULL,   -- what this event alone says
    since_utc_us   INTEGER NOT NULL,   -- from here its days count
    look_utc_us    INTEGER NOT NULL    -- when to look at it next
) STRICT;
CREATE INDEX event_kept_look ON event_kept (look_utc_us);
CREATE INDEX event_kept_of ON event_kept (inspection_id, booth_id);

-- Which events went, when, and by which rule. Rows are only ever added.
CREATE TABLE event_deletion (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    at_utc_us      INTEGER NOT NULL,
    booth_id       TEXT NOT NULL,
    inspection_id  TEXT NOT NULL,
    rule           TEXT NOT NULL,      -- in words, as the settings stood
    events         INTEGER NOT NULL,
    bytes          INTEGER NOT NULL
) STRICT;
CREATE INDEX event_deletion_of ON event_deletion (inspection_id);
CREATE TABLE deleted_event (
    cursor    INTEGER PRIMARY KEY,
    deletion  INTEGER NOT NULL         -- event_deletion.id
) STRICT;

-- How far events were looked at, by cursor, and how far they were here before this table.
INSERT INTO meta VALUES ('events_looked', 0);
INSERT INTO meta SELECT 'events_before', coalesce(max(cursor), 0) FROM event;

-- The root of a chain's tree at its length when events of it were deleted last: their digests are right as long as it is.
CREATE TABLE chain_root (
    booth_id  TEXT NOT NULL,
    epoch     BLOB NOT NULL,
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    PRIMARY KEY (booth_id, epoch)
) STRICT, WITHOUT ROWID;

-- Where a booth named an inspection first: whose it is. NULL until its events were looked at (`events_looked`).
ALTER TABLE inspection ADD COLUMN cursor INTEGER;
