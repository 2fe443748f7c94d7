//! A script of Redis, and one call of it.
//!
//! It is called by its hash. A Redis that does not know it is given the whole of it with the same
//! keys: in a cluster that reaches the node that needs it, whatever the others are doing.

use redis::{Cmd, ToRedisArgs, cmd};

/// A script, hashed once.
pub(crate) struct Script {
    code: String,
    hash: String,
}

impl Script {
    pub(crate) fn new(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            hash: redis::Script::new(code).get_hash().to_owned(),
        }
    }

    /// A call without keys and arguments yet.
    pub(crate) const fn prepare_invoke(&self) -> ScriptInvocation<'_> {
        ScriptInvocation {
            script: self,
            keys: Vec::new(),
            args: Vec::new(),
        }
    }

    /// A call with its first key.
    pub(crate) fn key(&self, key: impl ToRedisArgs) -> ScriptInvocation<'_> {
        let mut call = self.prepare_invoke();
        call.key(key);
        call
    }
}

/// One call. All its keys have one hash tag.
pub(crate) struct ScriptInvocation<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl ScriptInvocation<'_> {
    pub(crate) fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    /// What decides which node of a cluster is asked.
    pub(super) fn first_key(&self) -> Option<&[u8]> {
        self.keys.first().map(Vec::as_slice)
    }

    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// Redis remembers the script from then on.
    pub(super) fn in_full(&self) -> Cmd {
        self.command("EVAL", &self.script.code)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len());
        command.arg(&self.keys).arg(&self.args);
        command
    }
}
