//! One admitted generation of the embedded limiter: takes more tokens, and says what was used.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::Accounts;
use crate::limit::Grant;
use crate::stream::Owner;

/// One admitted generation in the table.
pub(super) struct LocalGrant {
    pub(super) accounts: Arc<Accounts>,
    pub(super) owner: Owner,
    /// How many tokens are reserved at a time when the first reservation is used up.
    pub(super) step: u64,
}

impl Grant for LocalGrant {
    fn poll_extend(&mut self, _: &mut Context<'_>) -> Poll<u64> {
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        let Some(account) = table.by_owner.get_mut(&self.owner) else {
            return Poll::Ready(0);
        };
        Poll::Ready(account.tokens.take_some(account.rate, now, self.step))
    }

    fn settle(&mut self, reserved: u64, used: u64) {
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        table.streams = table.streams.saturating_sub(1);
        if let Some(account) = table.by_owner.get_mut(&self.owner) {
            account.streams = account.streams.saturating_sub(1);
            account.tokens.settle(account.rate, now, reserved, used);
        }
    }
}
