-- Receipts that witnesses cosigned, each with its cosignatures.
CREATE TABLE witnessed (
    booth_id     TEXT NOT NULL,
    epoch        BLOB NOT NULL,
    size         INTEGER NOT NULL,   -- events that the receipt covers
    note         BLOB NOT NULL,      -- the receipt as signed by the gateway
    certificate  BLOB NOT NULL,      -- of the gateway that signed it, DER
    PRIMARY KEY (booth_id, epoch, size)
) STRICT, WITHOUT ROWID;

CREATE TABLE cosignature (
    booth_id     TEXT NOT NULL,
    epoch        BLOB NOT NULL,
    size         INTEGER NOT NULL,
    witness      TEXT NOT NULL,      -- its verifier key
    line         BLOB NOT NULL,      -- the signature line of the note
    at_s         INTEGER NOT NULL,   -- by the witness's clock, seconds since 1970
    kept_utc_us  INTEGER NOT NULL,   -- by the gateway's clock
    PRIMARY KEY (booth_id, epoch, size, witness)
) STRICT, WITHOUT ROWID;

-- What keeps a witness from cosigning, while it does.
CREATE TABLE witness_fault (
    witness    TEXT NOT NULL,        -- its verifier key
    booth_id   TEXT NOT NULL,        -- '' where it is about no chain
    epoch      BLOB NOT NULL,
    code       TEXT NOT NULL,
    detail     TEXT NOT NULL,
    at_utc_us  INTEGER NOT NULL,
    PRIMARY KEY (witness, booth_id, epoch)
) STRICT, WITHOUT ROWID;
