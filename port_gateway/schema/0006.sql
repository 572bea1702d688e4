-- Events that are kept in their place of the chain, and whose content this gateway cannot read. Cursors count on over
-- both: an event that is let out of quarantine gets a new one.
CREATE TABLE quarantine (
    cursor           INTEGER PRIMARY KEY,  -- of its row in `event`
    booth_id         TEXT NOT NULL,
    epoch            BLOB NOT NULL,
    seq              INTEGER NOT NULL,
    code             TEXT NOT NULL,        -- OVERSIZED or MALFORMED_EVENT
    detail           TEXT NOT NULL,
    released_cursor  INTEGER UNIQUE,
    released_utc_us  INTEGER
) STRICT;
CREATE INDEX quarantine_now ON quarantine (booth_id, epoch, seq) WHERE released_cursor IS NULL;

-- Whose events name a piece of evidence: who may read them may read it.
CREATE TABLE evidence_ref (
    sha256    BLOB NOT NULL,
    booth_id  TEXT NOT NULL,
    PRIMARY KEY (sha256, booth_id)
) STRICT, WITHOUT ROWID;
