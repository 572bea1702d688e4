-- Receipts on which a time-stamp authority set its time (RFC 3161); an evidence pack takes the first that covers its events.
CREATE TABLE time_token (
    booth_id     TEXT NOT NULL,
    epoch        BLOB NOT NULL,
    size         INTEGER NOT NULL,   -- events that the receipt covers
    note         BLOB NOT NULL,      -- the receipt as signed: what the token is over
    certificate  BLOB NOT NULL,      -- of the gateway that signed it, DER
    response     BLOB NOT NULL,      -- the authority's answer, DER
    authority    BLOB NOT NULL,      -- its root certificate, DER
    kept_utc_us  INTEGER NOT NULL,   -- by the gateway's clock
    PRIMARY KEY (booth_id, epoch, size)
) STRICT, WITHOUT ROWID;
