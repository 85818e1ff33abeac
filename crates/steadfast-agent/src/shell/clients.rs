//! Those who have asked for something over the socket and wait for an answer.

use super::event::Reply;
use crate::machine::{Answer, Client};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

#[derive(Default)]
pub(super) struct Clients {
    waiting: BTreeMap<Client, oneshot::Sender<Reply>>,
    last: u64,
}

impl Clients {
    /// Somebody who waits for no answer.
    pub(super) fn nobody(&mut self) -> Client {
        self.last += 1;
        Client(self.last)
    }

    pub(super) fn add(&mut self, reply: oneshot::Sender<Reply>) -> Client {
        let client = self.nobody();
        self.waiting.insert(client, reply);
        client
    }

    pub(super) fn reply(&mut self, to: Client, answer: Answer) {
        if let Some(reply) = self.waiting.remove(&to) {
            let _gone = reply.send(Reply::Answer(answer.into()));
        }
    }
}
