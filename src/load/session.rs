//! Starts one stream, from the moment at which it should have been asked for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::plan::Behaviour;
use super::run::Load;
use super::stream::Stream;
use super::target::{Target, stream_id};
use super::tidying;

/// Asks for a stream and reads it. Answers how long to wait before the next, if the server wants that.
pub(super) async fn generate(load: &Rc<Load>, number: u64, intended: Instant) -> Option<Duration> {
    let behaviour = load.plan.shares.behaviour(number);
    if behaviour == Behaviour::Bad {
        return super::bad_request::send(load, number).await;
    }
    if let Some(fan) = load.plan.fan {
        return for_others(load, number, intended, fan.readers).await;
    }
    let stream = Stream::begin(load, number, intended);
    match tidying::start(load, Target::start, stream_id).await {
        Ok(answer) => {
            load.reached();
            stream.read(answer).await;
            None
        }
        Err(error) => Some(stream.never_began(error)),
    }
}

/// Has a stream made, which so many others read.
async fn for_others(
    load: &Rc<Load>,
    number: u64,
    intended: Instant,
    readers: u32,
) -> Option<Duration> {
    let started = tidying::start(load, Target::start_for_others, |id| Some(id.clone()));
    let id = match started.await {
        Ok(id) => id,
        Err(error) => {
            let stream = Stream::begin(load, number, intended);
            return Some(stream.never_began(error));
        }
    };
    load.reached();
    let cancelled = Rc::new(Cell::new(false));
    let readers = (0..u64::from(readers)).map(async |reader| {
        let mut stream = Stream::begin(load, number.wrapping_add(reader), intended);
        stream.id = Some(id.clone());
        stream.cancelled = Rc::clone(&cancelled);
        match load.target.follow(&id, None).await {
            Ok(answer) => stream.read(answer).await,
            Err(error) => drop(stream.never_began(error)),
        }
    });
    join_all(readers).await;
    None
}
