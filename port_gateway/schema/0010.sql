-- What officers decide, and what the port watches for. Nothing of the watch list leaves the port but a hit's own words.

-- Which booth an inspection is of: noted with the event that opens or closes it.
CREATE TABLE inspection (
    inspection_id  TEXT NOT NULL,
    booth_id       TEXT NOT NULL,
    lane_id        TEXT NOT NULL,
    PRIMARY KEY (inspection_id, booth_id)
) STRICT, WITHOUT ROWID;

-- Rows are only ever added; `chained_*` is filled in when the booth's own event says that it holds the decision.
CREATE TABLE decision (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id      BLOB NOT NULL UNIQUE,
    booth_id        TEXT NOT NULL,
    inspection_id   TEXT NOT NULL,
    decision        TEXT NOT NULL,     -- release, refer or hold
    officer         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    by_whom         TEXT NOT NULL,     -- the account of the operating system
    decided_utc_us  INTEGER NOT NULL,
    chained_seq     INTEGER,
    chained_utc_us  INTEGER
) STRICT;
CREATE INDEX decision_of ON decision (inspection_id, booth_id);

CREATE TABLE watch_list (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,     -- plate, container_code, seal or tag
    text            TEXT NOT NULL,     -- as given
    folded          TEXT NOT NULL,     -- as compared
    tell            TEXT NOT NULL,     -- what the officer is told
    severity        TEXT NOT NULL,
    recommends      TEXT NOT NULL,
    until_utc_us    INTEGER            -- NULL: until it is taken out
) STRICT, WITHOUT ROWID;

-- Each entry once for each of its characters left open: what differs in one character is found by an index.
CREATE TABLE watch_list_pattern (
    pattern  TEXT NOT NULL,            -- kind, a blank, and the text with one character replaced by '_'
    id       TEXT NOT NULL,
    PRIMARY KEY (pattern, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX watch_list_pattern_of ON watch_list_pattern (id);

CREATE TABLE watch_list_hit (
    booth_id       TEXT NOT NULL,
    inspection_id  TEXT NOT NULL,
    id             TEXT NOT NULL,      -- of the entry
    message_id     BLOB NOT NULL,
    near           INTEGER NOT NULL,   -- 1: one character differs
    found_utc_us   INTEGER NOT NULL,
    chained_seq    INTEGER,
    PRIMARY KEY (booth_id, inspection_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX watch_list_hit_told ON watch_list_hit (message_id);

-- Who changed the list by command, when, and how; ids, never what stands in it.
CREATE TABLE watch_list_change (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_utc_us  INTEGER NOT NULL,
    by_whom    TEXT NOT NULL,
    what       TEXT NOT NULL
) STRICT;
