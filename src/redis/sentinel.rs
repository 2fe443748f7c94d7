//! Sentinels, which know who is the master. They are asked each time that a connection to it is made:
//! after a failover there is another one.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{AsyncConnectionConfig, Client, cmd};
use tokio::time::timeout;

use super::address::Address;
use super::config::{RedisConfig, SentinelConfig};
use super::fault::{Fault, Kind};

/// How long one may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// The sentinels of one master.
pub(super) struct Sentinels {
    config: RedisConfig,
    sentinel: SentinelConfig,
}

impl Sentinels {
    pub(super) const fn new(config: RedisConfig, sentinel: SentinelConfig) -> Self {
        Self { config, sentinel }
    }

    /// The one that most sentinels call the master; if there is no such one, all that any does.
    pub(super) async fn masters(&self) -> Result<Vec<Client>, Fault> {
        let addresses = &self.sentinel.addresses;
        let mut asked: FuturesUnordered<_> = addresses
            .iter()
            .map(|address| async move { (address, self.ask(address).await) })
            .collect();
        let mut named: Vec<(Address, usize)> = Vec::new();
        let mut fault = None;
        while let Some((sentinel, answer)) = asked.next().await {
            match answer {
                Ok(Some(master)) => match named.iter_mut().find(|(it, _)| *it == master) {
                    Some((_, votes)) => *votes += 1,
                    None => named.push((master, 1)),
                },
                Ok(None) => {
                    let text = format!(
                        "sentinel {sentinel} knows no master {:?}",
                        self.sentinel.master
                    );
                    fault = Some(Fault::new(Kind::NoMaster, text));
                }
                Err(why) => {
                    let kind = match why.kind {
                        Kind::Login | Kind::Untrusted | Kind::Permission => why.kind,
                        _ => Kind::NoMaster,
                    };
                    let text = format!("sentinel {sentinel}: {}", why.text);
                    fault.get_or_insert(Fault::new(kind, text));
                }
            }
            named.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
            if named
                .first()
                .is_some_and(|(_, votes)| votes * 2 > addresses.len())
            {
                named.truncate(1);
                break;
            }
        }
        if let (true, Some(fault)) = (named.is_empty(), fault) {
            return Err(fault);
        }
        let clients = named.iter().map(|(it, _)| self.config.client_at(it));
        Ok(clients.collect::<Result<_, _>>()?)
    }

    async fn ask(&self, address: &Address) -> Result<Option<Address>, Fault> {
        let client = self.config.client_of_sentinel(&self.sentinel, address)?;
        let asked = async {
            let config = AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER));
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            let mut question = cmd("SENTINEL");
            question
                .arg("GET-MASTER-ADDR-BY-NAME")
                .arg(&self.sentinel.master);
            question
                .query_async::<Option<(String, u16)>>(&mut connection.await?)
                .await
        };
        let answer = timeout(ANSWER, asked).await;
        let answer = answer.unwrap_or_else(|_| Ok(None))?;
        Ok(answer.map(|(host, port)| Address { host, port }))
    }
}
