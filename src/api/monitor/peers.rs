//! The nodes as they are known here: what Redis says of them, and those that it forgot although they did not
//! leave.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Monitor;
use super::sampler::millis;
use crate::api::Api;
use crate::api::wire::monitor::PeerState;
use crate::limit::Node;

/// A node that leaves takes itself from the list, and said that it was there shortly before. One that was not
/// heard for so long before it is missing has died: Redis forgets it when its lease ends, after six seconds.
const LATE: Duration = Duration::from_secs(4);

/// For how long Redis is waited for. All else that is to be seen waits as long, each second.
const PATIENCE: Duration = Duration::from_millis(250);

/// For how long one that has died is shown.
const KEPT: Duration = Duration::from_secs(60);

/// What was known last, and when.
#[derive(Default)]
pub(super) struct Peers {
    known: Vec<PeerState>,
    at: Option<Instant>,
}

impl Peers {
    /// All that are known now.
    pub(super) async fn look(&mut self, monitor: &Monitor, api: &Api) -> Vec<PeerState> {
        // One more question to a Redis that is away would be one more fault to be counted.
        let found = if api.generations.is_ready() {
            let asked = timeout(PATIENCE, api.limiter.nodes()).await;
            asked.ok().and_then(Result::ok)
        } else {
            None
        };
        let now = Instant::now();
        let passed = self.at.replace(now).map_or(Duration::ZERO, |at| now - at);
        self.take(found, passed);
        // What it is doing now is better known here.
        for this in self.known.iter_mut().filter(|peer| peer.is_this) {
            this.heard_ms = 0;
            this.said = Some(monitor.own_note(api));
        }
        self.known.clone()
    }

    /// Takes over what Redis says, or nothing if it is away, when so much time has passed since it was asked.
    fn take(&mut self, found: Option<Vec<Node>>, passed: Duration) {
        for peer in &mut self.known {
            peer.heard_ms += millis(passed);
        }
        let Some(found) = found else { return };
        let found = found.into_iter().map(|node| PeerState {
            said: serde_json::from_str(&node.about).ok(),
            heard_ms: millis(node.heard),
            id: node.id,
            is_this: node.is_this,
        });
        let before = std::mem::replace(&mut self.known, found.collect());
        let died = before.into_iter().filter(|peer| {
            let since = millis(LATE)..millis(KEPT);
            let is_back = |it: &PeerState| {
                it.id == peer.id || name(it).is_some_and(|it| Some(it) == name(peer))
            };
            since.contains(&peer.heard_ms) && !self.known.iter().any(is_back)
        });
        let died: Vec<_> = died.collect();
        self.known.extend(died);
        self.known
            .sort_by_cached_key(|peer| (name(peer).map(str::to_owned), peer.id.clone()));
    }
}

fn name(peer: &PeerState) -> Option<&str> {
    Some(&peer.said.as_ref()?.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::wire::monitor::Standing;

    const SECOND: Duration = Duration::from_secs(1);

    fn node(id: &str, heard: u64, state: &str) -> Node {
        let about = json!({"name": format!("{id}:1"), "version": "9.9.9", "state": state, "streams": 3, "uptime_s": 5});
        Node {
            id: id.to_owned(),
            is_this: false,
            heard: Duration::from_millis(heard),
            about: about.to_string(),
        }
    }

    fn shown(peers: &Peers) -> Vec<(&str, u64)> {
        let peers = peers.known.iter();
        peers.map(|it| (it.id.as_str(), it.heard_ms)).collect()
    }

    #[test]
    fn a_node_that_died_is_away_for_a_minute() {
        let mut peers = Peers::default();
        let one = || node("one", 0, "serving");
        peers.take(Some(vec![node("two", 5500, "serving"), one()]), SECOND);
        peers.take(Some(vec![one()]), SECOND);
        assert_eq!(shown(&peers), [("one", 0), ("two", 6500)]);
        peers.take(None, SECOND);
        peers.take(Some(vec![one()]), 52 * SECOND);
        assert_eq!(shown(&peers), [("one", 0), ("two", 59_500)]);
        peers.take(Some(vec![one()]), SECOND);
        assert_eq!(shown(&peers), [("one", 0)]);
    }

    #[test]
    fn a_node_that_left_or_came_again_is_not_away() {
        let mut peers = Peers::default();
        peers.take(Some(vec![node("one", 1700, "draining")]), SECOND);
        peers.take(Some(Vec::new()), SECOND);
        assert_eq!(shown(&peers), []);
        peers.take(Some(vec![node("one", 5900, "serving")]), SECOND);
        let mut again = node("one", 100, "serving");
        again.id = "another run".to_owned();
        peers.take(Some(vec![again]), SECOND);
        assert_eq!(shown(&peers), [("another run", 100)]);
    }

    #[test]
    fn a_state_of_another_version_hides_nothing_else() {
        let mut peers = Peers::default();
        peers.take(Some(vec![node("one", 0, "hibernating")]), SECOND);
        let said = peers.known[0].said.as_ref().unwrap();
        assert_eq!((said.state, said.streams), (Standing::Unknown, 3));
    }
}
