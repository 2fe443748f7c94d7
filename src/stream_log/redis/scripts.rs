//! What Redis does in one step. Time is that of Redis, so that no node's clock matters.
//!
//! The hash of a stream has: `owner`, `model`, `created`, `metadata` as they were given; `state` (`live`
//! or `ended`) and `terminal`; `fence`, which a writer must know;
//! `node`, whose control channel the writer listens to; `job`, what another node needs to go on; `lost`,
//! how often a writer of it was lost; `cancel`; `removed`; `ever` and `left`, how many
//! readers came on other nodes and how the last to leave was there; `key` and `reserved`, the
//! idempotency key and what is stored there.
//!
//! The id of an entry is its writer's fence and its last sequence number. So a writer needs no script to
//! append: Redis takes no entry whose id is below another's, and the first thing that a new fence does
//! is to raise the ids.
//!
//! Keys, where a script has them, in this order: 1 the hash, 2 the entries, 3 the leases, 4 the readers, 5
//! the streams that were left.

use crate::redis::Script;

/// All scripts, hashed once.
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) append: Script,
    /// The same for what has a terminal entry.
    pub(super) close: Script,
    pub(super) reset: Script,
    pub(super) renew: Script,
    pub(super) attend: Script,
    pub(super) cancel: Script,
    pub(super) remove: Script,
    pub(super) due: Script,
    pub(super) reap: Script,
    pub(super) claim: Script,
    pub(super) leave: Script,
    pub(super) describe: Script,
    pub(super) index: Script,
    pub(super) release: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body: &str| Script::new(&format!("{NOW}{body}"));
        let always = |body: &str| Script::new(&format!("{ALWAYS}{NOW}{TOP}{body}"));
        Self {
            create: script(CREATE),
            append: Script::new(&format!("{TOP}{APPEND}")),
            close: Script::new(&format!("{ALWAYS}{TOP}{APPEND}")),
            reset: always(RESET),
            renew: always(RENEW),
            attend: always(ATTEND),
            cancel: always(CANCEL),
            remove: always(REMOVE),
            due: script(DUE),
            reap: always(&format!("{NEXT_FENCE}{REAP}")),
            claim: always(&format!("{NEXT_FENCE}{CLAIM}")),
            leave: always(LEAVE),
            describe: Script::new(&format!("{TOP}{DESCRIBE}")),
            index: Script::new(INDEX),
            release: Script::new(RELEASE),
        }
    }
}

/// The first line of what is done although Redis has no memory left: what keeps streams and ends them
/// takes next to none.
const ALWAYS: &str = "#!lua flags=allow-oom\n";

/// Milliseconds since the Unix epoch.
const NOW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

/// The last sequence number of a stream's entries, -1 if there are none; and the id of that entry.
const TOP: &str = r"
local function top(key)
  local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not entry then return -1, '' end
  return tonumber(string.match(entry[1], '%d+$')), entry[1]
end
";

/// 1 stream id, 2 payload of the start entry, 3 lease in ms, 4 most life in ms, then fields and
/// values of the hash. Answers 1, or 0 if there is such a stream.
const CREATE: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'state', 'live', 'fence', 1, 'cancel', 0, 'ever', 0, unpack(ARGV, 5))
redis.call('XADD', KEYS[2], '1-0', 'b', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
return 1
";

/// 1 stream id, 2 fence, 3 first and 4 last sequence number, 5 payload, 6 terminal or nothing, 7 lease
/// in ms, or 0 if it was renewed a moment ago, 8 most life in ms, 9 retention in ms, 10 how long an
/// ended stream is remembered in ms, 11 channel of readers, 12 how many appends there must be. Answers
/// what became of it, the last sequence number up to which nothing is missing, the cancel flag.
///
/// It never makes a stream that is missing: what was deleted or has expired stays so.
const APPEND: &str = r"
local m = redis.call('HMGET', KEYS[1], 'fence', 'state', 'cancel', 'removed')
if not m[1] then return {'missing', -1, 0} end
local last, id = top(KEYS[2])
local cancel = tonumber(m[3])
if m[1] ~= ARGV[2] then return {'fenced', last, cancel} end
local is_there = id == ARGV[2] .. '-' .. ARGV[4]
if is_there and (ARGV[6] == '') == (m[2] == 'live') then return {'duplicate', last, cancel} end
if last >= tonumber(ARGV[4]) or m[2] ~= 'live' then return {'closed', last, cancel} end
if redis.call('XLEN', KEYS[2]) < tonumber(ARGV[12]) then return {'gap', -1, cancel} end
if last + 1 ~= tonumber(ARGV[3]) then return {'gap', last, cancel} end
redis.call('XADD', KEYS[2], ARGV[2] .. '-' .. ARGV[4], 'b', ARGV[5])
if ARGV[6] == '' then
  if ARGV[7] ~= '0' then
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[7], ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[8])
    redis.call('PEXPIRE', KEYS[2], ARGV[8])
  end
else
  redis.call('HSET', KEYS[1], 'state', 'ended', 'terminal', ARGV[6])
  redis.call('HDEL', KEYS[1], 'job')
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[10])
  redis.call('PEXPIRE', KEYS[2], m[4] and math.min(ARGV[9], 60000) or ARGV[9])
end
redis.call('PUBLISH', ARGV[11], '')
return {'appended', tonumber(ARGV[4]), cancel}
";

/// 1 stream id, 2 fence. Empties a live stream, so that its writer can write it again. Answers whether it
/// did.
const RESET: &str = r"
local m = redis.call('HMGET', KEYS[1], 'fence', 'state')
if m[1] ~= ARGV[2] or m[2] ~= 'live' then return 0 end
redis.call('UNLINK', KEYS[2])
return 1
";

/// 1 stream id, 2 fence, 3 lease in ms, 4 most life in ms. Renews a writer's lease. Answers how it
/// stands, the last sequence number and how many entries there are, the cancel flag (also of what was
/// removed), how many readers came on other nodes, whether one is there, how the last to leave was.
const RENEW: &str = r"
local m = redis.call('HMGET', KEYS[1], 'fence', 'state', 'cancel', 'removed', 'ever', 'left')
if not m[1] then return {'missing', -1, 0, 0, 0, 0, ''} end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
local status = 'live'
if m[1] ~= ARGV[2] then status = 'fenced' elseif m[2] ~= 'live' then status = 'closed' else
  redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
local cancel = m[4] and 1 or tonumber(m[3])
local there = redis.call('EXISTS', KEYS[4])
return {status, top(KEYS[2]), redis.call('XLEN', KEYS[2]), cancel, tonumber(m[5]), there, m[6] or ''}
";

/// 1 stream id, 2 node, 3 how many readers came there since the last time, 4 whether one is there, 5 how
/// the last to leave was, 6 for how long in ms, 7 prefix of control channels. Answers how the stream
/// stands and the last sequence number.
const ATTEND: &str = r"
local m = redis.call('HMGET', KEYS[1], 'state', 'node')
if not m[1] then return {'missing', -1} end
if m[1] ~= 'live' then return {'closed', (top(KEYS[2]))} end
local changed = tonumber(ARGV[3]) > 0
if changed then redis.call('HINCRBY', KEYS[1], 'ever', ARGV[3]) end
if ARGV[4] == '1' then
  changed = redis.call('ZADD', KEYS[4], now + ARGV[6], ARGV[2]) == 1 or changed
  redis.call('PEXPIRE', KEYS[4], ARGV[6])
else
  changed = redis.call('ZREM', KEYS[4], ARGV[2]) == 1 or changed
  if changed then redis.call('HSET', KEYS[1], 'left', ARGV[5]) end
end
if changed then redis.call('PUBLISH', ARGV[7] .. m[2], ARGV[1]) end
return {'live', (top(KEYS[2]))}
";

/// 1 stream id, 2 prefix of control channels.
const CANCEL: &str = r"
local m = redis.call('HMGET', KEYS[1], 'state', 'node')
if m[1] ~= 'live' then return 0 end
redis.call('HSET', KEYS[1], 'cancel', 1)
redis.call('PUBLISH', ARGV[2] .. m[2], ARGV[1])
return 1
";

/// 1 stream id, 2 prefix of control channels. A live stream is kept, unseen, until its writer ends it,
/// for those who read it now. That it is gone is remembered for a minute, by which its writer tells it
/// from one that was lost. Answers 1, or 0 if there is none.
const REMOVE: &str = r"
local m = redis.call('HMGET', KEYS[1], 'state', 'node', 'removed')
if not m[1] or m[3] then return 0 end
if m[1] == 'live' then
  redis.call('HSET', KEYS[1], 'removed', 1, 'cancel', 1)
  redis.call('PUBLISH', ARGV[2] .. m[2], ARGV[1])
else
  redis.call('UNLINK', KEYS[2])
  redis.call('HSET', KEYS[1], 'removed', 1)
  redis.call('PEXPIRE', KEYS[1], 60000)
end
return 1
";

/// The fence after this one: never one that there was before, even if Redis has forgotten that.
const NEXT_FENCE: &str = r"
local function next_fence(fence) return string.format('%.0f', math.max(fence + 1, now)) end
";

/// Key 1 the leases, 2 the streams that were left; 1 how many. The streams whose lease has ended, and those.
const DUE: &str = r"
return {
  redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1]),
  redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1)
}
";

/// 1 stream id, 2 payload of the terminal entry, 3 terminal, 4 retention in ms, 5 how long an ended
/// stream is remembered in ms, 6 channel of readers, 7 prefix of control channels, 8 how long one that
/// may be claimed waits for that in ms, 9 how often one may be. Ends a stream whose lease has ended, after
/// which its writer knows the wrong fence. Answers whether it did.
const REAP: &str = r"
local score = redis.call('ZSCORE', KEYS[3], ARGV[1])
if not score or tonumber(score) > now then return 0 end
local m = redis.call('HMGET', KEYS[1], 'state', 'node', 'job', 'fence', 'lost')
local claimable = m[3] and tonumber(m[5] or 0) < tonumber(ARGV[9])
if claimable and score + ARGV[8] > now then return 0 end
redis.call('ZREM', KEYS[3], ARGV[1])
if m[1] ~= 'live' then return 0 end
local seq = string.format('%.0f', top(KEYS[2]) + 1)
local fence = next_fence(m[4])
redis.call('XADD', KEYS[2], fence .. '-' .. seq, 'b', ARGV[2])
redis.call('HSET', KEYS[1], 'fence', fence, 'state', 'ended', 'terminal', ARGV[3])
redis.call('HDEL', KEYS[1], 'job')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[6], '')
redis.call('PUBLISH', ARGV[7] .. m[2], ARGV[1])
return 1
";

/// 1 stream id, 2 fence, 3 for how long others may take it in ms. Leaves a stream to another node. Answers
/// 1, or 0 if it is not the writer's.
const LEAVE: &str = r"
local m = redis.call('HMGET', KEYS[1], 'fence', 'state', 'job')
if m[1] ~= ARGV[2] or m[2] ~= 'live' or not m[3] then return 0 end
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[5], 0, ARGV[1])
redis.call('PEXPIRE', KEYS[5], 60000)
return 1
";

/// 1 stream id, 2 node, 3 lease in ms, 4 how often a stream may be claimed, 5 prefix of control channels.
/// Makes the node the writer of a stream that was left or whose lease has ended, if it has a job. Answers the
/// new fence, the last sequence number, the cancel flag and the job, or nothing.
const CLAIM: &str = r"
local left = redis.call('ZREM', KEYS[5], ARGV[1]) == 1
local score = redis.call('ZSCORE', KEYS[3], ARGV[1])
if not left and (not score or tonumber(score) > now) then return false end
local m = redis.call('HMGET', KEYS[1], 'state', 'node', 'job', 'lost', 'cancel', 'fence')
if m[1] ~= 'live' or not m[3] then return false end
if not left then
  if tonumber(m[4] or 0) >= tonumber(ARGV[4]) then return false end
  redis.call('HINCRBY', KEYS[1], 'lost', 1)
end
local last = top(KEYS[2])
if last < 0 then return false end
local fence = next_fence(m[6])
redis.call('HSET', KEYS[1], 'fence', fence, 'node', ARGV[2])
redis.call('XSETID', KEYS[2], fence .. '-' .. string.format('%.0f', last))
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
redis.call('PUBLISH', ARGV[5] .. m[2], ARGV[1])
return {tonumber(fence), last, tonumber(m[5]), m[3]}
";

/// The fields to read. Answers them, and the last sequence number, or -1 if there are no entries.
const DESCRIBE: &str = r"
local m = redis.call('HMGET', KEYS[1], unpack(ARGV))
m[#ARGV + 1] = tostring(top(KEYS[2]))
return m
";

/// Key 1 an owner's streams; 1 stream id, 2 the id before which all are forgotten, 3 for how long they
/// are kept in ms.
const INDEX: &str = r"
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('ZREMRANGEBYLEX', KEYS[1], '-', '(' .. ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
";

/// Key 1 an idempotency key; 1 what is stored there, if it is to go.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";
