//! What Redis does in one step. Time is that of Redis, so that no node's clock matters. The arithmetic
//! is that of `bucket.rs`, in whole numbers that a script can count.
//!
//! Keys of a principal, in this order: 1 a hash with what is owed of the buckets of requests (`r`) and of
//! tokens (`t`), in drops, at a time (`at`), until when the keys live at least (`kept`), and for each
//! permit how many tokens it has reserved; 2 the permits that hold a place, by when their lease ends
//! (sorted set). All times are milliseconds.
//!
//! First arguments of each script on them: 1 requests a minute, 2 burst, 3 tokens a minute.
//!
//! Each script but `admit` says what shall be, not what shall change: it may be done twice. `admit`
//! counts a permit once; done twice, it may count a refusal twice.

use crate::redis::Script;

/// All scripts, hashed once.
pub(super) struct Scripts {
    pub(super) admit: Script,
    pub(super) extend: Script,
    pub(super) hold: Script,
    pub(super) settle: Script,
    pub(super) here: Script,
    pub(super) nodes: Script,
    pub(super) leave: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self::with_clock(NOW)
    }

    /// Scripts for which `now` is what this code makes it.
    pub(super) fn with_clock(clock: &str) -> Self {
        let script = |body: &str| Script::new(&format!("{clock}{BUCKETS}{body}"));
        Self {
            admit: script(ADMIT),
            extend: script(EXTEND),
            hold: script(HOLD),
            settle: script(SETTLE),
            here: Script::new(&format!("{clock}{HERE}")),
            nodes: Script::new(&format!("{clock}{NODES}")),
            leave: Script::new(LEAVE),
        }
    }
}

/// Milliseconds since the Unix epoch.
const NOW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

/// What is owed of both buckets now; how that is stored, with fields of permits; and how the keys are
/// kept alive, which is not needed each time.
const BUCKETS: &str = r"
local requests, tokens = ARGV[1] + 0, ARGV[3] + 0
local full_r, full_t = ARGV[2] * 60000, tokens * 60000
local function owed(permit)
  local m = redis.call('HMGET', KEYS[1], 'r', 't', 'at', 'kept', permit)
  local past = math.max(0, now - (m[3] or now))
  return math.max(0, (m[1] or 0) - past * requests), math.max(0, (m[2] or 0) - past * tokens), m[5], m[4]
end
local function store(r, t, ...)
  redis.call('HSET', KEYS[1], 'r', r, 't', t, 'at', now, ...)
end
local function keep(r, kept, life)
  local needed = math.ceil(r / requests)
  if (kept or 0) - now >= math.max(needed, life / 2) then return end
  redis.call('HSET', KEYS[1], 'kept', now + needed + life)
  redis.call('PEXPIRE', KEYS[1], needed + life)
  redis.call('PEXPIRE', KEYS[2], needed + life)
end
";

/// 4 permit, 5 streams, 6 tokens to reserve, 7 lease, 8 for how long the keys are kept. Answers which
/// limit was met (0 none, 1 requests, 2 streams, 3 tokens) and what is owed of both buckets.
const ADMIT: &str = r"
local r, t, reserved, kept = owed(ARGV[4])
if reserved then return {0, r, t} end
if r + 60000 > full_r then
  store(r, t)
  return {1, r, t}
end
r = r + 60000
local met, after, life = 0, t + ARGV[6] * 60000, ARGV[8] + 0
local places = redis.call('ZCOUNT', KEYS[2], now + 1, '+inf')
if places >= ARGV[5] + 0 then
  met = 2
elseif after > full_t then
  met = 3
end
if met == 0 then
  t = after
  store(r, t, ARGV[4], ARGV[6])
  redis.call('ZADD', KEYS[2], now + ARGV[7], ARGV[4])
  if places == 0 then redis.call('PEXPIRE', KEYS[2], life) end
else
  store(r, t)
end
keep(r, kept, life)
return {met, r, t}
";

/// 4 permit, 5 how many tokens it has reserved, as far as is known, 6 how many more it wants. Answers
/// how many more it has then; -1 if the permit is not there.
const EXTEND: &str = r"
local r, t, reserved = owed(ARGV[4])
if not reserved then return -1 end
local known = ARGV[5] + 0
if reserved + 0 > known then return reserved - known end
t = math.min(t + (known - reserved) * 60000, 2 * full_t)
local more = math.max(0, math.min(ARGV[6] + 0, math.floor((full_t - t) / 60000)))
store(r, t + more * 60000, ARGV[4], known + more)
return more
";

/// 4 lease, 5 for how long the keys are kept, then permits, each with how many tokens it has reserved and
/// how many requests it counts as. Holds their places for another lease. What Redis does not know of
/// them is counted now: they were admitted while it was away or by a node that is gone, or it has lost
/// them. What nodes that are gone have left is forgotten
/// after a while.
const HOLD: &str = r"
local r, t, _, kept = owed('r')
local life = ARGV[5] + 0
for i = 6, #ARGV, 3 do
  local reserved = redis.call('HGET', KEYS[1], ARGV[i])
  if not reserved then r = math.min(r + ARGV[i + 2] * 60000, 2 * full_r) end
  local missing = ARGV[i + 1] - (reserved or 0)
  if not reserved or missing > 0 then
    t = math.min(t + missing * 60000, 2 * full_t)
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
  redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[i])
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - life / 2, 'LIMIT', 0, 64)) do
  redis.call('HDEL', KEYS[1], gone)
  redis.call('ZREM', KEYS[2], gone)
end
store(r, t)
keep(r, kept, life)
redis.call('PEXPIRE', KEYS[2], life)
return 1
";

/// 4 permit, 5 how many tokens it has used. Gives back its place and what it has reserved beyond.
/// Answers 0 if that was done before.
const SETTLE: &str = r"
redis.call('ZREM', KEYS[2], ARGV[4])
local r, t, reserved = owed(ARGV[4])
if not reserved then return 0 end
redis.call('HDEL', KEYS[1], ARGV[4])
store(r, math.max(0, math.min(t + (ARGV[5] - reserved) * 60000, 2 * full_t)))
return 1
";

/// Key 1 the nodes, by when their lease ends (sorted set), 2 what each says of itself (hash); 1 node, 2
/// lease in ms, 3 what it says. Answers how many there are.
const HERE: &str = r"
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 64)) do
  redis.call('HDEL', KEYS[2], gone)
  redis.call('ZREM', KEYS[1], gone)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return redis.call('ZCOUNT', KEYS[1], now + 1, '+inf')
";

/// The same keys; 1 lease in ms, 2 how many at most. Answers of each node its name, how many milliseconds
/// ago it was heard, and what it said.
const NODES: &str = r"
local found = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now + 1, '+inf', 'LIMIT', 0, ARGV[2])) do
  local heard = now + ARGV[1] - redis.call('ZSCORE', KEYS[1], node)
  table.insert(found, {node, math.max(0, heard), redis.call('HGET', KEYS[2], node) or ''})
end
return found
";

/// The same keys; 1 node, which is gone.
const LEAVE: &str = r"
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
";
