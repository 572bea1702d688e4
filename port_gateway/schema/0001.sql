-- The port's inbox. One writer; cursor order is commit order.

CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('trust_version', 0);

-- Certificates by which a peer is known. A replaced one no longer opens a connection, but still verifies old events.
CREATE TABLE trust (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    identity         TEXT NOT NULL,
    role             TEXT NOT NULL,
    certificate      BLOB NOT NULL UNIQUE,
    added_utc_us     INTEGER NOT NULL,
    replaced_utc_us  INTEGER
) STRICT;

CREATE TABLE event (
    cursor           INTEGER PRIMARY KEY AUTOINCREMENT,
    booth_id         TEXT NOT NULL,
    epoch            BLOB NOT NULL,
    seq              INTEGER NOT NULL,
    sha256           BLOB NOT NULL,
    envelope         BLOB NOT NULL,
    received_utc_us  INTEGER NOT NULL,
    UNIQUE (booth_id, epoch, seq)
) STRICT;

-- Where each chain stands, and the session key with which it goes on after a restart.
CREATE TABLE chain (
    booth_id     TEXT NOT NULL,
    epoch        BLOB NOT NULL,
    seq          INTEGER NOT NULL,
    sha256       BLOB NOT NULL,
    session_key  BLOB NOT NULL,
    PRIMARY KEY (booth_id, epoch)
) STRICT, WITHOUT ROWID;

-- Every session that a chain has had: tells a replayed old event from a forked one.
CREATE TABLE session (
    booth_id    TEXT NOT NULL,
    epoch       BLOB NOT NULL,
    key_id      TEXT NOT NULL,
    public_key  BLOB NOT NULL,
    opened_seq  INTEGER NOT NULL,
    PRIMARY KEY (booth_id, epoch, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE reader (
    identity        TEXT NOT NULL,
    name            TEXT NOT NULL,
    through         INTEGER NOT NULL,
    updated_utc_us  INTEGER NOT NULL,
    PRIMARY KEY (identity, name)
) STRICT, WITHOUT ROWID;

-- What was refused and must be looked into; the envelope is kept as it came.
CREATE TABLE alarm (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    booth_id         TEXT NOT NULL,
    epoch            BLOB NOT NULL,
    seq              INTEGER NOT NULL,
    code             TEXT NOT NULL,
    detail           TEXT NOT NULL,
    envelope         BLOB NOT NULL,
    received_utc_us  INTEGER NOT NULL,
    UNIQUE (booth_id, epoch, seq, code, envelope)
) STRICT;
