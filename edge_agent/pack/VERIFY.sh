#!/bin/sh
# Verifies an evidence pack of edge-agent with nothing but openssl (3.0 or later) and POSIX utilities.
#
#   sh VERIFY.sh [-k KEYID]... [-t ROOT] [-w POLICY] [FOLDER]
#
#   FOLDER    the pack (the folder in which this script lies)
#   -k KEYID  a key in which you trust: 64 hex digits, from the port or the booth itself and not from the pack. The pack
#             must be signed by such a key alone; give one for the booth, and one for the port gateway where it signed.
#   -t ROOT   the root certificate (a PEM file) of the time-stamp authority in which you trust: a time token in the pack
#             must lead to it, and not only to the certificate in the pack. A pack without a time token fails.
#   -w POLICY the witnesses in which you trust, and how many of them must have cosigned (a file, C2SP tlog-policy). A pack
#             that the quorum did not cosign fails.
#
# Exit status: 0 everything verifies; 1 something does not, and the last line says what; 2 it could not be looked at.
# The same script lies in every pack of one version; its SHA-256 is published, so that you can run a copy of your own.

LC_ALL=C
export LC_ALL
unset CDPATH
umask 077

PACK=$(dirname -- "$0")
KEYS=
ROOT=
POLICY=
TYPE='application/vnd.edge-agent.event.v1alpha1+protobuf'
DASH=$(printf '\342\200\224')

# A pack of a stranger must not command a terminal: only printable signs are shown.
shown() { printf '%s' "$*" | tr -c '[:print:]' '?'; }

fail() {
    printf 'FAILED: %s\n' "$(shown "$*")"
    exit 1
}

unable() {
    printf 'COULD NOT BE VERIFIED: %s\n' "$(shown "$*")"
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        -k)
            [ $# -ge 2 ] || unable '-k needs a key id'
            KEYS="$KEYS $2"
            shift 2
            ;;
        -t)
            [ $# -ge 2 ] && [ -f "$2" ] || unable '-t needs a file with a root certificate'
            case $2 in /*) ROOT=$2 ;; *) ROOT=$(pwd)/$2 ;; esac
            shift 2
            ;;
        -w)
            [ $# -ge 2 ] && [ -f "$2" ] || unable '-w needs a file with a policy'
            case $2 in /*) POLICY=$2 ;; *) POLICY=$(pwd)/$2 ;; esac
            shift 2
            ;;
        -*) unable "there is no option $1; use: sh VERIFY.sh [-k KEYID]... [-t ROOT] [-w POLICY] [FOLDER]" ;;
        *)
            PACK=$1
            shift
            ;;
    esac
done
for key in $KEYS; do
    case $key in *[!0-9a-f]*) unable "$key is no key id: 64 hex digits in lower case" ;; esac
    [ ${#key} -eq 64 ] || unable "$key is no key id: 64 hex digits in lower case"
done

cd -- "$PACK" || unable "there is no folder $PACK"
for tool in openssl awk cmp cut dd find grep od sed sort tail tr uniq wc xargs; do
    command -v "$tool" > /dev/null || unable "$tool is not installed"
done
case $(openssl version) in
    'OpenSSL '[3-9].*) ;;
    *) unable "openssl must be version 3.0 or later, this is: $(openssl version)" ;;
esac

T=${TMPDIR:-/tmp}/verify-pack.$$
case $T in *[!A-Za-z0-9._/-]*) unable "TMPDIR ($TMPDIR) must have no blanks and no signs beyond . _ / and -" ;; esac
mkdir "$T" || unable "$T cannot be made"
trap 'rm -rf "$T"' EXIT
trap 'exit 2' HUP INT TERM

# --- small tools ----------------------------------------------------------------------------------------------------
sha256() { openssl dgst -sha256 -r "$1" | cut -c1-64; }

# counted NUMBER ONE MANY: 1 event, 2 events
counted() { if [ "$1" = 1 ]; then printf '1 %s' "$2"; else printf '%s %s' "$1" "$3"; fi; }

# part FILE OFFSET LENGTH: these bytes of the file
part() { dd if="$1" bs=1 skip="$2" count="$3" 2> /dev/null; }

# binary HEX: the bytes that it spells
binary() {
    printf "$(printf '%s\n' "$1" | awk '{
        digits = "0123456789abcdef"
        for (i = 1; i < length($0); i += 2)
            printf "\\%03o", index(digits, substr($0, i, 1)) * 16 + index(digits, substr($0, i + 1, 1)) - 17
    }')"
}

# base64_lines: each line of base64, in its one form, as octal escapes for printf; a line that is none as "bad"
base64_lines() {
    awk 'BEGIN {
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        for (i = 1; i <= 64; i++) value[substr(alphabet, i, 1)] = i - 1
        power[0] = 1; power[2] = 4; power[4] = 16
    }
    {
        out = ""; bits = 0; many = 0; body = $0
        sub(/=?=$/, "", body)
        for (i = 1; i <= length(body); i++) {
            c = substr(body, i, 1)
            if (!(c in value)) { out = "bad"; break }
            bits = bits * 64 + value[c]; many += 6
            if (many >= 8) {
                many -= 8; scale = power[many]
                out = out sprintf("\\%03o", int(bits / scale)); bits %= scale
            }
        }
        if (out == "" || length($0) % 4 || length($0) - length(body) != (4 - length(body) % 4) % 4 || bits) out = "bad"
        print out
    }'
}

# kind FILE: of a public key in DER, ed25519 or p256
kind() {
    case $(od -A n -v -t x1 "$1" | tr -d ' \n') in
        302a300506032b6570*) echo ed25519 ;;
        3059301306072a8648ce3d020106082a8648ce3d030107*) echo p256 ;;
        *) echo other ;;
    esac
}

# signed_by KIND KEY SIGNATURE DATA: whether the key made this signature over these bytes; all but KIND are files
signed_by() {
    case $1 in
        ed25519) openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$4" -sigfile "$3" > /dev/null 2>&1 ;;
        p256) openssl dgst -sha256 -verify "$2" -signature "$3" "$4" > /dev/null 2>&1 ;;
        *) return 1 ;;
    esac
}

# policy FILE TABLE: C2SP tlog-policy. TABLE gets a line a witness: its name there, the key's name, key id, key in hex, PEM
policy() {
    bad=$(awk '
        /[\001-\010\013-\037\177]/ { print NR ": a control character"; exit }
        NF == 0 || $1 ~ /^#/ { next }
        $1 == "witness" && (NF == 3 || NF == 4) && $2 != "none" && !($2 in known) { known[$2] = 1; next }
        $1 == "group" && NF > 3 && $2 != "none" && !($2 in known) {
            if ($3 != "any" && $3 != "all" && ($3 !~ /^[0-9]+$/ || $3 < 1 || $3 + 0 > NF - 3)) { print NR ": how many?"; exit }
            for (i = 4; i <= NF; i++) {
                if (!($i in known) || $i in member) { print NR ": " $i " is not known before it, or a member twice"; exit }
                member[$i] = 1
            }
            known[$2] = 1; next
        }
        $1 == "quorum" && NF == 2 && ($2 == "none" || $2 in known) && !quorum { quorum = NR; next }
        { print NR ": no line of a policy that is known here"; exit }
        END { if (!quorum) print NR ": no quorum" }' "$1" | sed -n 1p)
    [ -z "$bad" ] || policy_fails "line $bad"
    : > "$2"
    awk '$1 == "witness" { print $2, $3 }' "$1" > "$T/vkeys"
    number=0
    while read -r name vkey; do
        number=$((number + 1))
        keyname=${vkey%%+*} rest=${vkey#*+}
        hint=${rest%%+*} encoded=${rest#*+}
        octal=$(printf '%s\n' "$encoded" | base64_lines)
        case $octal in \\004*) ;; *) octal= ;; esac
        [ ${#octal} -eq 132 ] || policy_fails "witness $name: not an Ed25519 key of type 4"
        printf "$octal" > "$T/typed"
        { printf '%s\n' "$keyname" && cat "$T/typed"; } > "$T/named"
        [ "$(sha256 "$T/named" | cut -c1-8)" = "$hint" ] || policy_fails "witness $name: name, hash and key do not belong together"
        raw=$(tail -c 32 "$T/typed" | od -A n -v -t x1 | tr -d ' \n')
        binary "302a300506032b6570032100$raw" > "$T/spki"
        openssl pkey -pubin -inform DER -in "$T/spki" -out "$2-$number.pem" 2> /dev/null || policy_fails "witness $name: no key"
        awk -v raw="$raw" '$4 == raw "" { found = 1 } END { exit found }' "$2" || policy_fails "witness $name: its key stands there twice"
        printf '%s %s %s %s %s\n' "$name" "$keyname" "$hint" "$raw" "$2-$number.pem" >> "$2"
    done < "$T/vkeys" || exit $?
}

if [ -n "$POLICY" ]; then
    policy_fails() { unable "$POLICY: $1"; }
    policy "$POLICY" "$T/trusted-witnesses"
fi

# Protocol Buffers: a line "path wire-type offset length value hex text" for each field; messages named in `into` are
# opened. Hex and text (printable ASCII, other bytes as <xx>) are of short fields alone.
cat > "$T/fields.awk" << 'AWK'
BEGIN {
    n = split(into, names, " "); for (i = 1; i <= n; i++) open[names[i]] = 1
    for (i = 0; i < 256; i++) { hex[i] = sprintf("%02x", i); ascii[i] = i > 31 && i < 127 ? sprintf("%c", i) : "<" hex[i] ">" }
}
{ for (i = 1; i <= NF; i++) b[count++] = $i + 0 }
END { if (!walk(0, count + 0, "")) print "broken 0 0 0 0 - -" }
function varint(end,   value, scale, many) {
    value = 0; scale = 1
    for (many = 1; many <= 10 && at < end; many++) {
        value += (b[at] % 128) * scale
        scale *= 128
        if (b[at++] < 128) return value
    }
    return -1
}
function walk(from, end, path,   tag, type, field, size, value, i, h, t) {
    at = from
    while (at < end) {
        tag = varint(end)
        if (tag < 0) return 0
        type = tag % 8
        field = path "" ((tag - type) / 8)
        if (type == 0) {
            value = varint(end)
            if (value < 0) return 0
            print field, 0, at, 0, sprintf("%.0f", value), "-", "-"
            continue
        }
        size = type == 1 ? 8 : type == 5 ? 4 : type == 2 ? varint(end) : -1
        if (size < 0 || at + size > end) return 0
        h = t = ""
        if (size <= 256) for (i = at; i < at + size; i++) { h = h hex[b[i]]; t = t ascii[b[i]] }
        print field, type, at, size, 0, (h == "" ? "-" : h), t
        value = at + size
        if (type == 2 && field in open && !walk(at, value, field ".")) return 0
        at = value
    }
    return 1
}
AWK

# fields FILE INTO: see above
fields() { od -A n -v -t u1 "$1" | awk -v into="$2" -f "$T/fields.awk"; }

# Of an event: "sequence microseconds clock body", its booth, epoch and link, as one line
cat > "$T/event.awk" << 'AWK'
$1 == "1" { booth = $7; one["1"]++ }
$1 == "2" { epoch = $6; one["2"]++ }
$1 == "3" { seq = $5; one["3"]++ }
$1 == "4" { link = $6; one["4"]++ }
$1 == "6.1" { us = $5 }
$1 == "6.3" { clock = $5 }
$1 ~ /^[0-9]+$/ && $1 + 0 >= 16 { bodies++; body = $1 }
END {
    if (one["1"] == 1 && one["2"] == 1 && one["3"] == 1 && one["4"] == 1 && bodies == 1)
        print seq, (us + 0 == 0 ? 0 : us), clock + 0, body, booth, epoch, link
}
AWK

# Microseconds since 1970 as date and time
cat > "$T/utc.awk" << 'AWK'
function utc(us,   s, day, z, era, doe, yoe, doy, mp, m) {
    s = int(us / 1000000); day = int(s / 86400); s -= day * 86400
    z = day + 719468; era = int(z / 146097); doe = z - era * 146097
    yoe = int((doe - int(doe / 1460) + int(doe / 36524) - int(doe / 146096)) / 365)
    doy = doe - (365 * yoe + int(yoe / 4) - int(yoe / 100)); mp = int((5 * doy + 2) / 153)
    m = mp < 10 ? mp + 3 : mp - 9
    return sprintf("%04d-%02d-%02d %02d:%02d:%02d UTC", yoe + era * 400 + (m <= 2), m,
        doy - int((153 * mp + 2) / 5) + 1, int(s / 3600), int(s % 3600 / 60), s % 60)
}
AWK

echo '{ print utc($1 * 1000000) }' > "$T/moment.awk"

# Of an event: what it says, in words
cat > "$T/report.awk" << 'AWK'
BEGIN {
    split("16 session opened;17 inspection opened;18 inspection closed;19 radiation alarm;20 device changed;" \
        "21 read, of no vehicle in the lane;22 scan received;23 handed over to a new device key;" \
        "24 disk level changed;25 evidence removed for room on the disk;26 oldest events dropped;" \
        "27 findings added;28 decision of an officer;29 statistics of a lane;30 evidence deleted", lines, ";")
    for (i in lines) what[substr(lines[i], 1, 2)] = substr(lines[i], 4)
    label["17.1"] = label["18.1.1"] = label["19.1"] = label["22.1"] = "inspection"
    label["18.1.2"] = "lane"; label["18.1.8.1"] = "plate"; label["18.1.9.1.1"] = "container"
    label["18.1.10.1"] = "seal"; label["22.3.1"] = "scan"; label["18.1.7.1"] = "why"
    outcome["18.1.5"] = "complete"; outcome["18.1.6"] = "incomplete"; outcome["18.1.7"] = "given up"
    state[1] = "clock synchronised"; state[2] = "clock NOT synchronised"
    printf "event %s  %s (%s)  %s\n", seq, utc(us), (clock in state ? state[clock] : "clock state unknown"),
        (body in what ? what[body] : "event of kind " body)
}
$1 in label && $4 > 0 { text = $0; for (i = 1; i <= 6; i++) sub(/^[^ ]+ /, "", text); printf "    %-11s %s\n", label[$1], text }
$1 in outcome { printf "    %-11s %s\n", "outcome", outcome[$1] }
AWK

# --- 1. the files are those of the manifest, and it is signed -----------------------------------------------------------
[ -f MANIFEST ] || fail 'MANIFEST is missing'
[ -f MANIFEST.sig ] || fail 'MANIFEST.sig is missing'
[ "$(sed -n 1p MANIFEST)" = 'edge-agent evidence pack 1' ] || fail 'MANIFEST: not of an evidence pack of this version'
BOOTH=$(sed -n '2s/^booth //p' MANIFEST)
EPOCH=$(sed -n '3s/^epoch //p' MANIFEST)
EXPORTER=$(sed -n '4s/^signed by //p' MANIFEST)
PORT=${BOOTH%%/booth/*}
case $EPOCH in *[!0-9a-f]*) EPOCH= ;; esac
[ "$PORT" != "$BOOTH" ] && [ ${#EPOCH} -eq 32 ] && [ -n "$EXPORTER" ] || fail 'MANIFEST: does not name booth, epoch and signer'

sed -n '5,$p' MANIFEST > "$T/list"
awk '!/^[0-9a-f]+  [A-Za-z0-9][A-Za-z0-9._\/-]*$/ || length($1) != 64 || /\.\.|\/\// { exit 1 }' "$T/list" ||
    fail 'MANIFEST: a line that is no digest and name'
{
    cut -c67- "$T/list"
    printf 'MANIFEST\nMANIFEST.sig\n'
} | sort > "$T/expected"
[ -z "$(uniq -d "$T/expected")" ] || fail "MANIFEST: names $(uniq -d "$T/expected" | sed -n 1p) twice"
odd=$(find . ! -type f ! -type d | sed -n 1p)
[ -z "$odd" ] || fail "$odd: neither a file nor a folder"
odd=$(find . -name '*[!A-Za-z0-9._-]*' | sed -n 1p)
[ -z "$odd" ] || fail "$odd: does not belong to the pack; no file of a pack has such a name"
find . -type f | sed 's,^\./,,' | sort > "$T/found"
# beyond LIST-1 LIST-2: the first line of the second that the first does not have
beyond() { awk 'NR == FNR { have[$0] = 1; next } !($0 in have)' "$1" "$2" | sed -n 1p; }
missing=$(beyond "$T/found" "$T/expected")
[ -z "$missing" ] || fail "$missing: is missing; the manifest names it"
extra=$(beyond "$T/expected" "$T/found")
[ -z "$extra" ] || fail "$extra: does not belong to the pack; the manifest does not name it"
cut -c67- "$T/list" | xargs openssl dgst -sha256 -r > "$T/digests" || fail 'a file of the pack cannot be read'
changed=$(awk 'NR == FNR { digest[substr($0, 67)] = substr($0, 1, 64); next }
    { seen[substr($0, 67)] = 1; if (digest[substr($0, 67)] != substr($0, 1, 64)) { print substr($0, 67); exit } }
    END { for (name in digest) if (!(name in seen)) { print name; exit } }' "$T/list" "$T/digests" | sed -n 1p)
[ -z "$changed" ] || fail "$changed: its bytes are not those of the manifest"

# --- 2. certificates: which key is whose ------------------------------------------------------------------------------
# $T/certificates has a line a certificate: key id, identity, file with the public key, certificate file, kind of key
: > "$T/certificates"
number=0
for file in certificates/*.pem; do
    [ -f "$file" ] || fail 'certificates: there is none'
    number=$((number + 1))
    key=$T/certificate-$number.pem
    openssl x509 -in "$file" -noout -pubkey > "$key" 2> /dev/null || fail "$file: no certificate"
    openssl pkey -pubin -in "$key" -outform DER -out "$T/spki" 2> /dev/null || fail "$file: no public key"
    identity=$(openssl x509 -in "$file" -noout -ext subjectAltName 2> /dev/null | tr ',' '\n' | sed -n 's/^ *URI://p')
    case $identity in
        spiffe://*[!a-z0-9/-]* | '') fail "$file: does not name exactly one identity" ;;
        spiffe://*) ;;
        *) fail "$file: does not name exactly one identity" ;;
    esac
    printf '%s %s %s %s %s\n' "$(sha256 "$T/spki")" "$identity" "$key" "$file" "$(kind "$T/spki")" >> "$T/certificates"
done

# certificate KEYID-or-FILE: its line
certificate() { awk -v wanted="$1" '$1 == wanted "" || $4 == wanted "" { print; exit }' "$T/certificates"; }

# trusted KEYID WHAT: unless keys were given, any key of the pack will do, and the end says so
trusted() {
    [ -n "$KEYS" ] || return 0
    case " $KEYS " in *" $1 "*) return 0 ;; esac
    fail "$2 is signed by the key $1, which is none of those given with -k"
}

set -- $(certificate "$EXPORTER")
[ $# -eq 5 ] || fail "MANIFEST: $EXPORTER, whose key should have signed it, is not in the pack"
signed_by "$5" "$3" MANIFEST.sig MANIFEST ||
    fail "MANIFEST.sig: not a signature over MANIFEST by the key of $EXPORTER"
trusted "$1" 'the manifest'
EXPORTED_BY=$2
case $EXPORTED_BY in
    "$BOOTH" | "$PORT"/gateway/*) ;;
    *) fail "$EXPORTER: is the certificate of $EXPORTED_BY, which is neither this booth nor its port's gateway" ;;
esac

# What whoever put the pack together knew of the end of each device key: "key id, state [last sequence that counts]"
: > "$T/ended"
if [ -f KEYS ]; then
    LOOKED=$(sed -n '1s/^at //p' KEYS)
    case $LOOKED in *[!0-9TZ:-]* | '') fail 'KEYS: does not say when it was looked up' ;; esac
    awk 'NR > 1 && (length($1) != 64 || $1 ~ /[^0-9a-f]/ ||
        !(NF == 2 && $2 ~ /^(in-force|not-known)$/ || NF == 3 && $2 ~ /^KEY_(REVOKED|RETIRED)$/ && $3 ~ /^[0-9]+$/ && length($3) < 16)) { exit 1 }' KEYS ||
        fail 'KEYS: a line that does not state what is known of a key'
    awk 'NF == 3 { print }' KEYS > "$T/ended"
fi

# counts KEYID SEQUENCE FILE: fails for what a key signed beyond its end
counts() {
    [ -s "$T/ended" ] || return 0
    over=$(awk -v key="$1" -v seq="$2" '$1 == key "" && seq + 0 > $3 + 0 { print $2 " through sequence " $3; exit }' "$T/ended")
    [ -z "$over" ] || fail "$3: does not count: the device key $1 behind it ended: $over"
}

# --- 3. events: signatures, keys and links ------------------------------------------------------------------------------
INTO='6 7 16 17 18 18.1 18.1.8 18.1.9 18.1.9.1 18.1.10 18.1.7 19 22 22.3'
: > "$T/sessions"   # key id, sequence, file with the public key, kind of key
: > "$T/references" # digest, size, event
: > "$T/report"
: > "$T/leaves" # sequence, digest, file, kind of event
events=0 previous=0 previous_sha256=0000000000000000000000000000000000000000000000000000000000000000
for file in events/*.envelope; do
    [ -f "$file" ] || fail 'events: there is none'
    events=$((events + 1))
    fields "$file" 3 > "$T/envelope"
    set -- $(awk '{ order = order $1 " " $2 ";" } $1 == "1" { print $3, $4 } $1 == "3.1" { print $3, $4 } $1 == "2" || $1 == "3.2" { print $7 }
        END { print (order == "1 2;2 2;3 2;3.1 2;3.2 2;" ? "yes" : "no") }' "$T/envelope")
    [ $# -eq 7 ] && [ "$7" = yes ] || fail "$file: no envelope with one signature"
    [ "$3" = "$TYPE" ] || fail "$file: its payload type is not that of an event"
    keyid=$6 payload=$T/payload
    part "$file" "$1" "$2" > "$payload"
    part "$file" "$4" "$5" > "$T/signature"
    {
        printf 'DSSEv1 %d %s %d ' "${#TYPE}" "$TYPE" "$2"
        cat "$payload"
    } > "$T/pae"

    fields "$payload" "$INTO" > "$T/event"
    [ "$(sed -n '$s/ .*//p' "$T/event")" != broken ] || fail "$file: its payload cannot be read"
    set -- $(awk -f "$T/event.awk" "$T/event")
    [ $# -eq 7 ] || fail "$file: holds not exactly one event of one kind"
    seq=$1 us=$2 clock=$3 body=$4 booth=$5 epoch=$6 link=$7
    if [ "$body" -eq 16 ]; then # a session is opened by the device key, which the booth's certificate names
        set -- $(certificate "$keyid")
        [ $# -eq 5 ] || fail "$file: is signed by the key $keyid, and no certificate in the pack is that key's"
        [ "$2" = "$BOOTH" ] || fail "$4: is the certificate of $2, and the events are of $BOOTH"
        trusted "$keyid" "$file"
        key=$3 kind=$5 by="the key of $4" device=$keyid
    else
        set -- $(tail -n 1 "$T/sessions")
        [ "${1:-}" = "$keyid" ] ||
            fail "$file: is signed by the key $keyid, for which the session event before it does not vouch"
        key=$3 kind=$4 by="the session key that event $2 names"
    fi
    signed_by "$kind" "$key" "$T/signature" "$T/pae" || fail "$file: its signature is not one by $by"
    counts "$device" "$seq" "$file"
    [ ! -f KEYS ] || grep -q "^$device " KEYS || fail "KEYS: does not name the key $device, which signed"

    [ "$booth" = "$BOOTH" ] || fail "$file: is an event of $booth, not of $BOOTH"
    [ "$epoch" = "$EPOCH" ] || fail "$file: is of another epoch than $EPOCH"
    [ "$file" = "events/$(printf '%010d' "$seq").envelope" ] || fail "$file: holds the event with sequence $seq"
    # of consecutive events, each names the one before
    [ "$seq" -ne $((previous + 1)) ] || [ "$link" = "$previous_sha256" ] ||
        fail "$file: does not follow event $previous in the chain"
    previous=$seq previous_sha256=$(sha256 "$file")
    printf '%s %s %s %s\n' "$seq" "$previous_sha256" "$file" "$body" >> "$T/leaves"

    if [ "$body" -eq 16 ]; then
        set -- $(awk '$1 == "16.1" { print $3, $4 }' "$T/event")
        [ $# -eq 2 ] || fail "$file: names no session key"
        part "$payload" "$1" "$2" > "$T/spki"
        openssl pkey -pubin -inform DER -in "$T/spki" -out "$T/session-$seq.pem" 2> /dev/null ||
            fail "$file: names no session key"
        cp "$T/spki" "$T/session-$seq.der"
        printf '%s %s %s %s\n' "$(sha256 "$T/spki")" "$seq" "$T/session-$seq.pem" "$(kind "$T/spki")" >> "$T/sessions"
    fi
    # the evidence that it binds: digest (7.3) and size (7.4) of each
    awk -v seq="$seq" '$1 == "7" { n++; size[n] = 0 } $1 == "7.3" { digest[n] = $6 } $1 == "7.4" { size[n] = $5 }
        END { for (i = 1; i <= n; i++) { if (length(digest[i]) != 64) exit 1; print digest[i], size[i], seq } }' \
        "$T/event" >> "$T/references" || fail "$file: binds evidence without a digest"
    awk -v seq="$seq" -v us="$us" -v clock="$clock" -v body="$body" -f "$T/utc.awk" -f "$T/report.awk" "$T/event" >> "$T/report"
done || exit 1

# --- 4. proofs: each event is in the tree that a checkpoint or a receipt signs --------------------------------------------
# proof FILE SEQUENCE LEAF: RFC 6962 from the leaf to the root, then who signed it
proof() {
    file=$1 seq=$2
    [ "$(sed -n 1p "$file")" = 'c2sp.org/tlog-proof@v1' ] || fail "$file: no inclusion proof"
    [ "$(sed -n 2p "$file")" = "index $((seq - 1))" ] || fail "$file: is the proof of another event than $seq"
    hashes=$(awk 'NR > 2 && $0 == "" { print NR - 3; exit }' "$file")
    [ -n "$hashes" ] || fail "$file: holds no checkpoint"
    sed -n "$((hashes + 4)),\$p" "$file" > "$T/note"
    lines=$(awk '{ last = $0 == "" ? NR : last } END { print last - 1 }' "$T/note")
    sed -n "1,${lines}p" "$T/note" > "$T/text"
    [ "$(tail -c 1 "$file" | od -A n -t u1 | tr -d ' ')" = 10 ] || fail "$file: does not end with a newline"
    signatures=$(awk -v from="$((lines + 1))" 'END { print NR - from }' "$T/note")
    case $file in
        *.witnessed.tlog-proof) [ "$signatures" -ge 2 ] || fail "$file: its receipt is cosigned by nobody" ;;
        *) [ "$signatures" -eq 1 ] || fail "$file: its checkpoint has not exactly one signature" ;;
    esac
    signed=$(sed -n "$((lines + 2))p" "$T/note")
    [ "$(sed -n 1p "$T/text")" = "$BOOTH/$EPOCH" ] || fail "$file: its checkpoint is of another chain than $BOOTH/$EPOCH"
    size=$(sed -n 2p "$T/text")
    case $size in '' | 0* | *[!0-9]*) fail "$file: its checkpoint names no size" ;; esac
    [ ${#size} -le 18 ] && [ "$seq" -le "$size" ] || fail "$file: its checkpoint ends at $size, before event $seq"
    {
        awk -v n="$hashes" 'NR > 2 && NR <= n + 2' "$file"
        sed -n 3p "$T/text"
        printf '%s\n' "$signed" | cut -d' ' -f3
    } | base64_lines > "$T/decoded"

    binary "00$3" | openssl dgst -sha256 -binary > "$T/node-0"
    at=$((seq - 1)) last=$((size - 1)) step=0
    while [ "$step" -lt "$hashes" ] && read -r sibling; do
        [ ${#sibling} -eq 128 ] || fail "$file: line $((step + 3)) is no hash"
        [ "$last" -gt 0 ] || fail "$file: the proof is too long"
        if [ $((at % 2)) -eq 1 ] || [ "$at" -eq "$last" ]; then
            { printf "\\001$sibling" && cat "$T/node-$step"; } | openssl dgst -sha256 -binary > "$T/node-$((step + 1))"
            while [ $((at % 2)) -eq 0 ] && [ "$at" -gt 0 ]; do at=$((at / 2)) last=$((last / 2)); done
        else
            { printf '\001' && cat "$T/node-$step" && printf "$sibling"; } | openssl dgst -sha256 -binary > "$T/node-$((step + 1))"
        fi
        at=$((at / 2)) last=$((last / 2)) step=$((step + 1))
    done < "$T/decoded"
    [ "$last" -eq 0 ] || fail "$file: the proof is too short"
    root=$(sed -n "$((hashes + 1))p" "$T/decoded")
    [ ${#root} -eq 128 ] || fail "$file: its checkpoint names no root"
    printf "$root" | cmp -s - "$T/node-$step" || fail "$file: does not lead from event $seq to the root of its checkpoint"

    set -- $signed
    [ $# -eq 3 ] && [ "$DASH $2 $3" = "$signed" ] || fail "$file: its checkpoint is not signed"
    blob=$(sed -n "$((hashes + 2))p" "$T/decoded")
    [ ${#blob} -gt 16 ] || fail "$file: its checkpoint's signature is not in base64"
    printf "$blob" > "$T/blob"
    part "$T/blob" 0 4 > "$T/hint"
    tail -c +5 "$T/blob" > "$T/signature"
    case $file in
        *.port.tlog-proof) receipt "$file" "$2" ;;
        *.witnessed.tlog-proof) receipt "$file" "$2" && cosignatures "$file" ;;
        *) checkpoint "$file" "$2" ;;
    esac
}

# checkpoint FILE NAME: the booth's own, by a session key
checkpoint() {
    [ "$2" = "$BOOTH/$EPOCH" ] || fail "$1: its checkpoint is signed by $2, not by $BOOTH/$EPOCH"
    [ "$(awk 'END { print NR }' "$T/text")" -eq 3 ] || fail "$1: its checkpoint has more than three lines"
    while read -r _ opened key kind; do
        case $kind in
            ed25519) { printf '%s\n\001' "$2" && tail -c 32 "$T/session-$opened.der"; } > "$T/named" ;;
            *) cp "$T/session-$opened.der" "$T/named" ;;
        esac
        openssl dgst -sha256 -binary "$T/named" > "$T/id"
        part "$T/id" 0 4 > "$T/short"
        cmp -s "$T/short" "$T/hint" && [ "$opened" -le "$size" ] || continue
        signed_by "$kind" "$key" "$T/signature" "$T/text" ||
            fail "$1: its checkpoint's signature is not one by the session key of event $opened"
        BY_BOOTH=$size
        return 0
    done < "$T/sessions"
    fail "$1: its checkpoint is signed by a key for which no session event in the pack vouches"
}

# receipt FILE NAME: the port's, by the gateway's key
receipt() {
    held=$(sed -n '4s/^held //p' "$T/text")
    case $held in *[!0-9TZ:-]*) held= ;; esac
    [ -n "$held" ] && [ "$(awk 'END { print NR }' "$T/text")" -eq 4 ] || fail "$1: its receipt does not say since when the port holds it"
    while read -r id identity key certificate kind; do
        [ "$identity" = "$2" ] || continue
        binary "$(printf '%s' "$id" | cut -c1-8)" > "$T/short"
        cmp -s "$T/short" "$T/hint" || continue
        case $identity in "$PORT"/gateway/*) ;; *) fail "$1: its receipt is signed by $2, which is no gateway of this port" ;; esac
        signed_by "$kind" "$key" "$T/signature" "$T/text" || fail "$1: its receipt's signature is not one by the key of $certificate"
        trusted "$id" "$1"
        case $1 in *.witnessed.*)
            WITNESSED=$size WITNESSED_HELD=$held
            return 0
            ;;
        esac
        [ ! -d time ] || cmp -s "$T/note" time/receipt || fail "$1: its receipt is not the one in time/receipt"
        BY_PORT=$size BY_GATEWAY=$2 HELD=$held
        return 0
    done < "$T/certificates"
    fail "$1: its receipt is signed by $2 with a key of which the pack has no certificate"
}

# cosignatures FILE: of the receipt in $T/note, by witnesses that the pack names
cosignatures() {
    if [ -f "$T/witnessed-note" ]; then
        cmp -s "$T/note" "$T/witnessed-note" || fail "$1: its receipt is another one than in the pack's other proofs"
        return 0
    fi
    cp "$T/note" "$T/witnessed-note"
    [ -f WITNESSES ] || fail "WITNESSES: is missing; $1 has cosignatures"
    policy_fails() { fail "WITNESSES: $1"; }
    policy WITNESSES "$T/witnesses"
    sed -n "$((lines + 3)),\$p" "$T/note" > "$T/cosignatures"
    while IFS= read -r line; do
        name=${line#"$DASH "}
        encoded=${name##* } name=${name% *}
        octal=$(printf '%s\n' "$encoded" | base64_lines)
        [ "$line" = "$DASH $name $encoded" ] && [ ${#octal} -eq 304 ] || fail "$1: a line of its receipt that is no cosignature"
        printf "$octal" > "$T/blob"
        hint=$(part "$T/blob" 0 4 | od -A n -v -t x1 | tr -d ' \n')
        at=$(part "$T/blob" 4 8 | od -A n -v -t u1 | awk '{ for (i = 1; i <= NF; i++) v = v * 256 + $i } END { if (v < 253402300800) printf "%.0f", v }')
        [ -n "$at" ] || fail "$1: the cosignature of $name states no time"
        tail -c 64 "$T/blob" > "$T/signature"
        { printf 'cosignature/v1\ntime %s\n' "$at" && cat "$T/text"; } > "$T/cosigned-text"
        raw=
        while read -r _ keyname id hex pem; do
            [ "$keyname" = "$name" ] && [ "$id" = "$hint" ] || continue
            signed_by ed25519 "$pem" "$T/signature" "$T/cosigned-text" || fail "$1: the cosignature of $name is not one by its key in WITNESSES"
            raw=$hex
        done < "$T/witnesses" || exit 1
        [ -n "$raw" ] || fail "$1: is cosigned by $name, whose key WITNESSES does not name"
        awk -v raw="$raw" '$1 == raw "" { found = 1 } END { exit found }' "$T/cosigned" || fail "$1: is cosigned by $name twice"
        printf '%s %s %s\n' "$raw" "$at" "$name" >> "$T/cosigned"
    done < "$T/cosignatures" || exit 1
}

# quorum FILE TABLE: "how many of how many, yes or no, whether that is enough" of what cosigned
quorum() {
    awk 'FILENAME == ARGV[1] { by[$1] = 1; next }
        FILENAME == ARGV[2] { all++; held[$1] = $4 in by; n += held[$1]; next }
        $1 == "group" {
            needed = $3 == "any" ? 1 : $3 == "all" ? NF - 3 : $3; many = 0
            for (i = 4; i <= NF; i++) many += held[$i]
            held[$2] = many >= needed + 0
        }
        $1 == "quorum" { enough = $2 == "none" || held[$2] }
        END { print n + 0, all + 0, (enough ? "yes" : "no") }' "$T/cosigned" "$2" "$1"
}

BY_BOOTH= BY_PORT= WITNESSED= proofs=0
: > "$T/cosigned" # key in hex, seconds since 1970 by the witness's clock, the key's name
while read -r seq leaf envelope body; do
    proved=0 witnessed=0
    for name in "${envelope%.envelope}.tlog-proof" "${envelope%.envelope}.port.tlog-proof" "${envelope%.envelope}.witnessed.tlog-proof"; do
        [ -f "$name" ] || continue
        case $name in *.witnessed.tlog-proof) witnessed=1 ;; esac
        proof "$name" "$seq" "$leaf"
        proved=1 proofs=$((proofs + 1))
    done
    [ -z "$POLICY" ] || [ "$witnessed" -eq 1 ] ||
        fail "$envelope: is under no receipt that witnesses cosigned, and -w asks for one; without -w the rest can be verified"
    # a session event proves itself by the device key; one that a booth has trimmed has no proof there
    [ "$proved" -eq 1 ] || [ "$body" -eq 16 ] || fail "$envelope: there is no proof that it is in the chain"
done < "$T/leaves" || exit 1
[ "$proofs" -eq "$(find events -name '*.tlog-proof' | awk 'END { print NR }')" ] || fail 'events: there is a proof of an event that is not in the pack'
[ "$((proofs + events))" -eq "$(find events -type f | awk 'END { print NR }')" ] || fail 'events: there is a file that is neither envelope nor proof'

if [ -n "$WITNESSED" ]; then
    set -- $(quorum WITNESSES "$T/witnesses")
    COSIGNED=$1 OF=$2 ENOUGH=$3
    if [ -n "$POLICY" ]; then
        set -- $(quorum "$POLICY" "$T/trusted-witnesses")
        COSIGNED=$1 OF=$2
        [ "$3" = yes ] || fail "witnessed by $1 of $2 of those in $POLICY, which is not the quorum that it asks for"
    fi
elif [ -f WITNESSES ]; then
    fail 'WITNESSES: no event in the pack has a proof under a cosigned receipt'
fi

# --- 5. time: an authority beside booth and port saw the receipt ----------------------------------------------------------
STAMPED=
if [ -d time ]; then
    [ -n "$BY_PORT" ] || fail 'time: no event in the pack has a proof with a receipt'
    for name in time/receipt time/receipt.tsr time/authority.pem; do
        [ -f "$name" ] || fail "$name: is missing; time tokens consist of three files"
    done
    [ "$(find time -type f | awk 'END { print NR }')" -eq 3 ] || fail 'time: there are files that are no time token'
    [ "$(grep -c -e '-----BEGIN' time/authority.pem)" -eq 1 ] || fail 'time/authority.pem: holds not exactly one certificate'
    ROOT_SHA256=$(openssl x509 -in time/authority.pem -outform DER 2> /dev/null | openssl dgst -sha256 -r | cut -c1-64)
    # Only the token is signed; of what stands around it nothing is read.
    openssl ts -reply -in time/receipt.tsr -token_out -out "$T/token" > /dev/null 2>&1 &&
        openssl ts -reply -in "$T/token" -token_in -text > "$T/stamp" 2> /dev/null || fail 'time/receipt.tsr: holds no time token'
    digest=$(awk '/^Hash Algorithm: / { print $3; exit }' "$T/stamp")
    case $digest in
        sha256 | sha384 | sha512) ;;
        *) fail "time/receipt.tsr: its token is over $digest: only SHA-256, SHA-384 and SHA-512 count" ;;
    esac
    # "seconds since 1970, date and time" of: Time stamp: Nov 22 09:00:00.5 2026 GMT
    set -- $(awk '$1 == "Time" && $2 == "stamp:" {
        m = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $3) + 2) / 3; split($5, t, /[:.]/); y = $6
        if (NF != 7 || $7 != "GMT" || m != int(m) || m < 1 || y !~ /^[0-9][0-9][0-9][0-9]$/) exit
        z = m > 2 ? y : y - 1; era = int(z / 400); yoe = z - era * 400
        doy = int((153 * (m > 2 ? m - 3 : m + 9) + 2) / 5) + $4 - 1
        day = era * 146097 + yoe * 365 + int(yoe / 4) - int(yoe / 100) + doy - 719468
        printf "%.0f %04d-%02d-%02dT%02d:%02d:%02dZ\n", ((day * 24 + t[1]) * 60 + t[2]) * 60 + t[3], y, m, $4, t[1], t[2], t[3]
        exit
    }' "$T/stamp")
    [ $# -eq 2 ] || fail 'time/receipt.tsr: its token states no time'
    # plus or minus so many seconds, or "not stated", of: Accuracy: 0x01 seconds, 0x01F4 millis, unspecified micros
    accuracy=$(awk 'function number(text,   i, n) {
        if (text == "unspecified") return 0
        if (text !~ /^0x[0-9A-F]+$/ || length(text) > 14) bad = 1
        for (i = 3; i <= length(text); i++) n = n * 16 + index("0123456789ABCDEF", substr(text, i, 1)) - 1
        return n + 0
    }
    $1 == "Accuracy:" {
        if (NF == 2 && $2 == "unspecified") { print "not stated"; exit }
        whole = number($2); milli = number($4); micro = number($6)
        if (NF != 7 || $3 != "seconds," || $5 != "millis," || $7 != "micros" || milli > 999 || micro > 999 || bad) exit
        part = sprintf(".%06d", milli * 1000 + micro)
        sub(/\.?0*$/, "", part)
        printf "\302\261 %.0f%s s\n", whole, part
        exit
    }' "$T/stamp")
    [ -n "$accuracy" ] || fail 'time/receipt.tsr: its token states an accuracy that is none'
    # Certificates need to have been valid when the authority signed.
    openssl ts -verify -data time/receipt -in time/receipt.tsr -CAfile "${ROOT:-time/authority.pem}" -attime "$1" > /dev/null 2>&1 ||
        fail "time/receipt.tsr: not a time token on time/receipt by an authority under ${ROOT:-time/authority.pem}"
    STAMPED=$2
elif [ -n "$ROOT" ]; then
    fail 'time: there is no time token in the pack, and -t asks for one; without -t the rest can be verified'
fi

# --- 6. evidence: bound by the events -----------------------------------------------------------------------------------
whole=0 absent=0
if [ -d evidence ]; then
    find evidence -type f | sort > "$T/evidence"
    while read -r name; do
        digest=$(sha256 "$name")
        case $name in "evidence/$digest" | "evidence/$digest".*) ;; *) fail "$name: its bytes are not those that its name states" ;; esac
        size=$(wc -c < "$name" | tr -d ' ')
        awk -v digest="$digest" -v size="$size" '$1 == digest "" && $2 == size { found = 1 } END { exit !found }' "$T/references" ||
            fail "$name: no event in the pack binds these bytes"
        printf '%s\n' "$digest" >> "$T/present"
        whole=$((whole + 1))
    done < "$T/evidence" || exit 1
fi
: >> "$T/present"
if [ -f ABSENT ]; then
    while read -r digest why; do
        awk -v digest="$digest" '$1 == digest "" { found = 1 } END { exit !found }' "$T/references" ||
            fail "ABSENT: no event in the pack binds $digest"
        awk -v digest="$digest" '$1 == digest "" { found = 1 } END { exit found }' "$T/present" ||
            fail "ABSENT: $digest is in the pack"
        printf '%s\n' "$digest" >> "$T/present"
        printf 'absent: %s: %s\n' "$digest" "$(shown "$why")" >> "$T/report"
        absent=$((absent + 1))
    done < ABSENT || exit 1
fi
while read -r digest _ seq; do
    awk -v digest="$digest" '$1 == digest "" { found = 1 } END { exit !found }' "$T/present" ||
        fail "evidence: event $seq binds $digest, which is neither in the pack nor said to be absent"
done < "$T/references" || exit 1

# --- what was verified --------------------------------------------------------------------------------------------------
printf 'Read from the signed bytes themselves:\n\n'
printf 'booth %s\nepoch %s\n' "$BOOTH" "$EPOCH"
cat "$T/report"
printf '\nVERIFIED: %s by %s, %s, %s' "$(counted "$events" event events)" "$BOOTH" \
    "$(counted "$proofs" proof proofs)" "$(counted "$whole" 'piece of evidence' 'pieces of evidence')"
[ "$absent" -eq 0 ] || printf ', %s absent and named above' "$absent"
printf '\n'
[ -z "$BY_BOOTH" ] || printf '  in the chain of %s that the booth signed\n' "$(counted "$BY_BOOTH" event events)"
[ -z "$BY_PORT" ] ||
    printf '  in the chain of %s that %s held at %s by its own clock\n' "$(counted "$BY_PORT" event events)" "$BY_GATEWAY" "$HELD"
if [ -n "$STAMPED" ]; then
    printf '  which a time-stamp authority saw at %s by its own clock\n    accuracy of that time, as the authority states it: %s\n' "$STAMPED" "$accuracy"
    if [ -n "$ROOT" ]; then
        printf '    under the root certificate that was given with -t\n'
    else
        printf '    under the root certificate with the SHA-256 %s:\n' "$ROOT_SHA256"
        printf '    compare it with what that authority states, or give its root certificate with -t\n'
    fi
fi
if [ -n "$WITNESSED" ]; then
    printf '  in the chain of %s that the port held at %s by its own clock,\n' "$(counted "$WITNESSED" event events)" "$WITNESSED_HELD"
    if [ -n "$POLICY" ]; then
        printf '    witnessed by %s of %s of those that were given with -w, which is enough:\n' "$COSIGNED" "$OF"
    elif [ "$ENOUGH" = yes ]; then
        printf '    witnessed by %s of the %s that the port names in WITNESSES, which is enough for it:\n' "$COSIGNED" "$OF"
    else
        printf '    witnessed by %s of the %s that the port names in WITNESSES, which is NOT enough for it:\n' "$COSIGNED" "$OF"
    fi
    while read -r raw at name; do
        [ -z "$POLICY" ] || grep -q " $raw " "$T/trusted-witnesses" || continue
        at=$(echo "$at" | awk -f "$T/utc.awk" -f "$T/moment.awk")
        printf '    %s at %s by its own clock\n' "$(shown "$name")" "$at"
    done < "$T/cosigned"
    [ -n "$POLICY" ] ||
        printf '    compare the keys in WITNESSES with those that the witnesses state, or give theirs with -w\n'
fi
printf '  the pack was put together by %s\n' "$EXPORTED_BY"
if [ -f KEYS ]; then
    awk -v by="$EXPORTED_BY" -v at="$LOOKED" 'NR > 1 {
        if ($2 == "KEY_REVOKED") text = "WAS REVOKED later; what it signed counts through event " $3 ", and nothing above is beyond it"
        else if ($2 == "KEY_RETIRED") text = "was handed over to the next key by event " $3
        else if ($2 == "in-force") text = "had not been revoked"
        else text = "may have been revoked: the booth cannot know, ask the port"
        print "  key " substr($1, 1, 16) "... " text " (" by ", " at ")"
    }' KEYS
else
    printf '  whether a key was revoked is not stated: ask the port\n'
fi
if [ -z "$KEYS" ]; then
    printf '\nEverything above rests on these keys. Compare each with the key id that its owner states (or give them with -k):\n'
else
    printf '\nSigned by the keys that were given:\n'
fi
sort -u "$T/certificates" | awk '{ print "  " $1 "  " $2 }'
