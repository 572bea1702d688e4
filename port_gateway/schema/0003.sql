-- Device keys that count no more, from a sequence on: revoked by the port's operator, or handed over by the booth itself.
CREATE TABLE ended_key (
    booth_id   TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    code       TEXT NOT NULL,      -- KEY_REVOKED or KEY_RETIRED
    at_utc_us  INTEGER NOT NULL,
    PRIMARY KEY (booth_id, key_id)
) STRICT, WITHOUT ROWID;

-- Where such a key still counts, itself or by a session; in an epoch without a row it counts for nothing.
CREATE TABLE ended_key_epoch (
    booth_id     TEXT NOT NULL,
    key_id       TEXT NOT NULL,
    epoch        BLOB NOT NULL,
    through_seq  INTEGER NOT NULL,
    PRIMARY KEY (booth_id, key_id, epoch)
) STRICT, WITHOUT ROWID;
