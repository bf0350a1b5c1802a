-- Wireshark's view of the sessions between nodes: handshakes, sealed records, and messages where they lie open.
--
-- hpb peer dissector > ~/.local/lib/wireshark/plugins/hpb.lua
--
-- Formats: ledger/types/FORMAT.md ("Messages"); a message is `len u32 | kind u8 | body`, a handshake message and a
-- sealed record are `len u16 | bytes`, all little-endian. A session that begins with a handshake stays sealed here:
-- its keys are nobody's but its ends'. `hpb peer capture --plain` writes what a node itself opened, message by message,
-- without TCP (as Wireshark's exported PDUs).

local hpb = Proto("hpb", "HPB node")

local KINDS = {
    [1] = "Hello", [2] = "SubmitTransaction", [3] = "Transactions", [4] = "SliceBundle", [5] = "Confirm",
    [6] = "Digest", [7] = "TransactionStatus", [8] = "SliceRequest", [9] = "Ping", [10] = "Pong", [11] = "Standing",
    [12] = "ChainRequest", [13] = "ChainPiece", [14] = "HeadersRequest", [15] = "Headers", [16] = "Question",
    [17] = "Answer", [18] = "Goodbye",
}
local STATUSES = { [0] = "Received", [1] = "Included", [2] = "Rejected", [3] = "Expired", [4] = "Retracted" }
local PIECE_ENDS = { [0] = "More", [1] = "Done", [2] = "Cut", [3] = "NotHere", [4] = "Busy" }

-- Bytes of a body at most, of a record at most, and of the first message of a handshake: version, MAC, key.
local BODY_LEN_MAX = 4 * 1024 * 1024
local RECORD_LEN_MAX = 2048
local FIRST_LEN = 1 + 16 + 32
local HANDSHAKE_VERSION = 1

local f = hpb.fields
f.len = ProtoField.uint32("hpb.len", "Length")
f.kind = ProtoField.uint8("hpb.kind", "Kind", base.DEC, KINDS)
f.body = ProtoField.bytes("hpb.body", "Body")
f.record_len = ProtoField.uint16("hpb.record.len", "Length")
f.sealed = ProtoField.bytes("hpb.sealed", "Sealed")
f.handshake_version = ProtoField.uint8("hpb.handshake.version", "Version of the handshake")
f.mac = ProtoField.bytes("hpb.handshake.mac", "MAC, keyed by whom is called")
f.ephemeral = ProtoField.bytes("hpb.handshake.key", "Ephemeral key")
f.version = ProtoField.uint8("hpb.version", "Version of the messages")
f.chain = ProtoField.bytes("hpb.chain", "Chain")
f.roles = ProtoField.uint8("hpb.roles", "Roles", base.HEX)
f.slot = ProtoField.uint64("hpb.slot", "Slot")
f.index = ProtoField.uint32("hpb.index", "Slice")
f.id = ProtoField.bytes("hpb.id", "Id")
f.nonce = ProtoField.uint64("hpb.nonce", "Nonce")
f.number = ProtoField.uint64("hpb.number", "Number")
f.status = ProtoField.uint8("hpb.status", "Status", base.DEC, STATUSES)
f.reason = ProtoField.uint8("hpb.reason", "Reason")
f.detail = ProtoField.uint32("hpb.detail", "What belongs to the reason")
f.last = ProtoField.uint8("hpb.last", "What follows", base.DEC, PIECE_ENDS)

-- Reads the fields of a body one after the other, and nothing beyond its end.
local function reader(body, tree)
    local at = 0
    return function(field, len)
        if at + len > body:len() then return nil end
        local range = body(at, len)
        if field then tree:add_le(field, range) end
        at = at + len
        return range
    end
end

local function height(take)
    take(f.slot, 8)
    take(f.index, 4)
end

local function reference(take)
    height(take)
    take(f.id, 32)
end

local BODIES = {
    [1] = function(take)
        take(f.version, 1)
        take(f.chain, 32)
        take(f.roles, 1)
        height(take)
        reference(take)
    end,
    [7] = function(take)
        take(f.id, 32)
        take(f.status, 1)
    end,
    [8] = function(take)
        reference(take)
        take(f.id, 32)
    end,
    [9] = function(take) take(f.nonce, 8) end,
    [10] = function(take) take(f.nonce, 8) end,
    [11] = function(take)
        reference(take)
        take(f.slot, 8)
    end,
    [12] = function(take)
        take(f.number, 8)
        height(take)
        take(f.slot, 8)
    end,
    [13] = function(take) take(f.number, 8) end,
    [15] = function(take) take(f.number, 8) end,
    [16] = function(take) take(f.number, 8) end,
    [17] = function(take) take(f.number, 8) end,
    [18] = function(take)
        take(f.reason, 1)
        take(f.detail, 4)
    end,
}
BODIES[14] = BODIES[12]

-- Which streams are sealed: those that were seen to begin with a handshake, and those that were met on their way with
-- what is no message but may be a record.
local sealed_streams = {}
local stream_field = Field.new("tcp.stream")

function hpb.init()
    sealed_streams = {}
end

-- Whether bytes are the first message of a handshake: no message that lies open has such a length and kind.
local function begins_handshake(range)
    return range:len() >= 3 and range(0, 2):le_uint() == FIRST_LEN and range(2, 1):uint() == HANDSHAKE_VERSION
end

-- Whether bytes of a stream that was met on its way are a sealed record rather than a message: length and tag of a
-- record hold by chance once in a few ten thousand times.
local function may_be_record(range)
    if range:len() < 5 then return false end
    local is_message = range(0, 4):le_uint() <= BODY_LEN_MAX and KINDS[range(4, 1):uint()] ~= nil
    local record_len = range(0, 2):le_uint()
    return not is_message and record_len > 16 and record_len <= RECORD_LEN_MAX
end

local function message(range, tree)
    local len, kind = range(0, 4):le_uint(), range(4, 1):uint()
    local name = KINDS[kind] or ("kind " .. kind)
    local node = tree:add(hpb, range, name .. ", " .. len .. " bytes")
    node:add_le(f.len, range(0, 4))
    node:add(f.kind, range(4, 1))
    if len > 0 then
        local body = range(5, len)
        node:add(f.body, body)
        local take = BODIES[kind]
        if take then take(reader(body, node)) end
    end
    return name
end

local function record(range, tree)
    local len = range(0, 2):le_uint()
    if begins_handshake(range) and range:len() == 2 + FIRST_LEN then
        local node = tree:add(hpb, range, "Handshake, first message")
        node:add_le(f.record_len, range(0, 2))
        node:add(f.handshake_version, range(2, 1))
        node:add(f.mac, range(3, 16))
        node:add(f.ephemeral, range(19, 32))
        return "handshake"
    end
    local node = tree:add(hpb, range, "Sealed, " .. len .. " bytes")
    node:add_le(f.record_len, range(0, 2))
    if len > 0 then node:add(f.sealed, range(2, len)) end
    return "sealed"
end

function hpb.dissector(buffer, pinfo, tree)
    local stream = stream_field()
    -- Without TCP it is a message that a node opened.
    local key = stream and stream.value
    if key and (begins_handshake(buffer()) or may_be_record(buffer())) then sealed_streams[key] = true end
    local is_sealed = key and sealed_streams[key]
    local is_cut = buffer:reported_len() > buffer:len()
    local head_len = is_sealed and 2 or 5
    local names, at = {}, 0
    pinfo.cols.protocol = "HPB"
    while at < buffer:len() do
        local left = buffer:len() - at
        local need
        if left < head_len then
            need = DESEGMENT_ONE_MORE_SEGMENT
        else
            local len = is_sealed and buffer(at, 2):le_uint() or buffer(at, 4):le_uint()
            local most = is_sealed and RECORD_LEN_MAX or BODY_LEN_MAX
            -- Nothing of this protocol: another may look at it.
            if len > most then return at end
            local whole = head_len + len
            if left < whole and is_cut then
                -- The capture kept its beginning alone.
                local name = is_sealed and "sealed" or KINDS[buffer(at + 4, 1):uint()] or "?"
                local node = tree:add(hpb, buffer(at), name .. ", " .. len .. " bytes, cut")
                if not is_sealed then
                    node:add_le(f.len, buffer(at, 4))
                    node:add(f.kind, buffer(at + 4, 1))
                end
                names[#names + 1] = name .. " (cut)"
                break
            elseif left < whole then
                need = whole - left
            else
                local range = buffer(at, whole)
                names[#names + 1] = is_sealed and record(range, tree) or message(range, tree)
                at = at + whole
            end
        end
        if need then
            pinfo.desegment_offset = at
            pinfo.desegment_len = need
            break
        end
    end
    if #names > 0 then pinfo.cols.info = table.concat(names, ", ") end
    return buffer:len()
end

local ports = DissectorTable.get("tcp.port")
ports:add("30303-30304", hpb)
