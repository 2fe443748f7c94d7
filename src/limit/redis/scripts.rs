//! What Redis does in one step. Time is that of Redis, so that no node's clock matters. The arithmetic
//! is that of `bucket.rs`, in whole numbers that a script can count.
//!
//! Keys of a principal, in this order: 1 a hash with what is owed of the bucket of requests (`r`, in
//! drops, at `ra`, in ms) and of that of tokens (`t`, `ta`), and for each permit how many tokens it has
//! reserved; 2 the permits that hold a place, by when their lease ends (sorted set, in ms).
//!
//! Each script but `admit` says what shall be, not what shall change: it may be done twice.

use redis::Script;

/// All scripts, hashed once.
pub(super) struct Scripts {
    pub(super) admit: Script,
    pub(super) extend: Script,
    pub(super) hold: Script,
    pub(super) settle: Script,
    pub(super) nodes: Script,
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
            nodes: Script::new(&format!("{clock}{NODES}")),
        }
    }
}

/// Milliseconds since the Unix epoch.
const NOW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

/// What is still owed of a bucket; and how both are kept, for as long as they matter.
const BUCKETS: &str = r"
local TOKEN = 60000
local function owed(drops, at, rate)
  local leaked = math.max(0, now - (tonumber(at) or now)) * rate
  return math.max(0, (tonumber(drops) or 0) - leaked)
end
local function keep(r, t, requests, life)
  redis.call('HSET', KEYS[1], 'r', r, 'ra', now, 't', t, 'ta', now)
  redis.call('PEXPIRE', KEYS[1], math.max(life, math.ceil(r / requests) + 1000))
end
";

/// 1 permit, 2 requests a minute, 3 burst, 4 tokens a minute, 5 streams, 6 tokens to reserve, 7 lease in
/// ms, 8 how long all of this is kept in ms. Answers which limit was met (0 none, 1 requests, 2 streams, 3
/// tokens) and what is owed of both buckets.
const ADMIT: &str = r"
local m = redis.call('HMGET', KEYS[1], 'r', 'ra', 't', 'ta', ARGV[1])
local requests, tokens = tonumber(ARGV[2]), tonumber(ARGV[4])
local r, t = owed(m[1], m[2], requests), owed(m[3], m[4], tokens)
local met = 0
if not m[5] then
  local after = t + ARGV[6] * TOKEN
  if r + TOKEN > ARGV[3] * TOKEN then
    met = 1
  else
    r = r + TOKEN
    if redis.call('ZCOUNT', KEYS[2], now + 1, '+inf') >= tonumber(ARGV[5]) then
      met = 2
    elseif after > tokens * TOKEN then
      met = 3
    else
      t = after
      redis.call('HSET', KEYS[1], ARGV[1], ARGV[6])
      redis.call('ZADD', KEYS[2], now + ARGV[7], ARGV[1])
      redis.call('PEXPIRE', KEYS[2], ARGV[7] + ARGV[8])
    end
  end
  keep(r, t, requests, ARGV[8] + 0)
end
return {met, r, t}
";

/// 1 permit, 2 tokens a minute, 3 how many it has reserved, as far as is known, 4 how many more it
/// wants. Answers how many more it has then; -1 if the permit is not there.
const EXTEND: &str = r"
local m = redis.call('HMGET', KEYS[1], ARGV[1], 't', 'ta')
if not m[1] then return -1 end
local reserved, known, tokens = tonumber(m[1]), tonumber(ARGV[3]), tonumber(ARGV[2])
if reserved > known then return reserved - known end
local brim = tokens * TOKEN
local t = math.min(owed(m[2], m[3], tokens) + (known - reserved) * TOKEN, 2 * brim)
local more = math.max(0, math.min(ARGV[4] + 0, math.floor((brim - t) / TOKEN)))
redis.call('HSET', KEYS[1], ARGV[1], known + more, 't', t + more * TOKEN, 'ta', now)
return more
";

/// 1 requests a minute, 2 burst, 3 tokens a minute, 4 lease in ms, 5 how long all of this is kept in ms,
/// then permits, each with how many tokens it has reserved. Holds their places for another lease.
/// What Redis does not know of them is counted now: they were admitted while it was away, or it has
/// lost them. What nodes that are gone have left is forgotten after a while.
const HOLD: &str = r"
local m = redis.call('HMGET', KEYS[1], 'r', 'ra', 't', 'ta')
local requests, tokens, life = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[5])
local r, t = owed(m[1], m[2], requests), owed(m[3], m[4], tokens)
for i = 6, #ARGV, 2 do
  local reserved = redis.call('HGET', KEYS[1], ARGV[i])
  if not reserved then
    r = math.min(r + TOKEN, 2 * ARGV[2] * TOKEN)
  end
  local missing = ARGV[i + 1] - (reserved or 0)
  if not reserved or missing > 0 then
    t = math.min(t + missing * TOKEN, 2 * tokens * TOKEN)
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
  redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[i])
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - life, 'LIMIT', 0, 64)) do
  redis.call('HDEL', KEYS[1], gone)
  redis.call('ZREM', KEYS[2], gone)
end
redis.call('PEXPIRE', KEYS[2], ARGV[4] + life)
keep(r, t, requests, life)
return 1
";

/// 1 permit, 2 tokens a minute, 3 how many it has used. Gives back its place and what it has reserved
/// beyond. Answers 0 if that was done before.
const SETTLE: &str = r"
redis.call('ZREM', KEYS[2], ARGV[1])
local m = redis.call('HMGET', KEYS[1], ARGV[1], 't', 'ta')
if not m[1] then return 0 end
local tokens = tonumber(ARGV[2])
local t = owed(m[2], m[3], tokens) + (ARGV[3] - m[1]) * TOKEN
t = math.max(0, math.min(t, 2 * tokens * TOKEN))
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], 't', t, 'ta', now)
return 1
";

/// Key 1 the nodes, by when their lease ends (sorted set); 1 node, 2 lease in ms. Answers how many
/// there are.
const NODES: &str = r"
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
";
