//! The nodes that share the limits, as Redis knows them: until when each is believed to live, and what it
//! says of itself.

use std::time::Duration;

use super::{Inner, Node, millis};
use crate::redis::{Refusal, Script, ScriptInvocation};

/// How many nodes are told of at most.
const MOST: u32 = 256;

impl Inner {
    /// Says that this node is there, for another lease. Answers how many are.
    pub(super) async fn be_here(&self) -> Result<u32, Refusal> {
        let about = self.about.get().map(|about| about()).unwrap_or_default();
        let mut script = self.on_nodes(&self.scripts.here);
        let lease = millis(self.config.lease);
        script.arg(&self.node).arg(lease).arg(about);
        self.ask(&script).await
    }

    /// All that are there.
    pub(super) async fn all_nodes(&self) -> Result<Vec<Node>, Refusal> {
        let mut script = self.on_nodes(&self.scripts.nodes);
        script.arg(millis(self.config.lease)).arg(MOST);
        let found: Vec<(String, u64, String)> = self.ask(&script).await?;
        let nodes = found.into_iter().map(|(id, heard, about)| Node {
            is_this: id == self.node,
            id,
            heard: Duration::from_millis(heard),
            about,
        });
        Ok(nodes.collect())
    }

    /// Takes this node from the list.
    pub(super) async fn leave(&self) -> Result<(), Refusal> {
        let mut script = self.on_nodes(&self.scripts.leave);
        script.arg(&self.node);
        self.ask::<u32>(&script).await?;
        Ok(())
    }

    /// The two keys have one hash tag, which of the first is all of it, and begin with our prefix, which is what
    /// our user may touch.
    fn on_nodes<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let nodes = format!("{}nodes", self.config.prefix);
        let mut script = script.prepare_invoke();
        let about = format!("{}{{{nodes}}}:about", self.config.prefix);
        script.key(&nodes).key(about);
        script
    }
}
