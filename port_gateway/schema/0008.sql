-- What the port expects, and what it has to say to booths.

-- One row: which list this is, and how often it was changed.
CREATE TABLE expected_list (
    list_id   BLOB NOT NULL,
    revision  INTEGER NOT NULL
) STRICT;
INSERT INTO expected_list VALUES (randomblob(16), 0);

-- Drawn at random with every revision: a port that was put back to an older copy of its data counts on with others.
CREATE TABLE expected_revision (
    revision  INTEGER PRIMARY KEY,
    mark      INTEGER NOT NULL
) STRICT;
INSERT INTO expected_revision VALUES (0, 0);

CREATE TABLE expected (
    id               TEXT PRIMARY KEY,
    revision         INTEGER NOT NULL UNIQUE,
    message          BLOB,               -- an ExpectedCrossing; NULL: no longer expected, and booths are told
    everywhere       INTEGER NOT NULL,   -- 1: for every booth of the port
    was_everywhere   INTEGER NOT NULL,   -- 1: it is, or was once
    forget_utc_us    INTEGER NOT NULL    -- when it expires; without a message: when nobody needs to be told any more
) STRICT, WITHOUT ROWID;
CREATE INDEX expected_forget ON expected (forget_utc_us);

-- For which booths it is (`now` 1), or was once.
CREATE TABLE expected_booth (
    booth_id  TEXT NOT NULL,
    id        TEXT NOT NULL,
    now       INTEGER NOT NULL,
    PRIMARY KEY (booth_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX expected_booth_id ON expected_booth (id);

CREATE TABLE expected_plate (
    plate  TEXT NOT NULL,
    id     TEXT NOT NULL,
    PRIMARY KEY (plate, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX expected_plate_id ON expected_plate (id);

-- Which revision a booth said last that it holds.
CREATE TABLE expected_kept (
    booth_id     TEXT PRIMARY KEY,
    revision     INTEGER NOT NULL,
    kept_utc_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who changed the list by command, when, and how.
CREATE TABLE expected_change (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_utc_us  INTEGER NOT NULL,
    who        TEXT NOT NULL,   -- the account of the operating system
    what       TEXT NOT NULL    -- in words
) STRICT;

-- What a booth is told until an event of its chain says that it has it.
CREATE TABLE booth_message (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    booth_id       TEXT NOT NULL,
    message_id     BLOB NOT NULL,
    message        BLOB NOT NULL,   -- a WatchResponse
    posted_utc_us  INTEGER NOT NULL,
    UNIQUE (booth_id, message_id)
) STRICT;
CREATE INDEX booth_message_of ON booth_message (booth_id, number);
