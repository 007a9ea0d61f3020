//! Hands slots over to one owner, in the shell.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kvcore::replica::Replica;

use super::{
    call,
    hand_over::{Effect, Event, HandOver, HandedOver},
    not_reached,
};
use crate::{log::disk::Disk, server::Server, store::Store};

type Events = FuturesUnordered<BoxFuture<'static, Event>>;

/// Runs it to its end.
pub(super) async fn run<D: Disk>(
    server: &Server<D>,
    owner: &Arc<dyn Replica>,
    mut hand_over: HandOver,
) -> HandedOver {
    let mut events = Events::new();
    let mut effects = hand_over.start(server.clock().now(), server.store());
    loop {
        for effect in effects {
            events.push(carry_out(effect, server.store().clone(), Arc::clone(owner)));
        }
        if let Some(end) = hand_over.end() {
            return end;
        }
        let Some(event) = events.next().await else {
            return HandedOver::none(not_reached("handing over waits for nothing".to_owned()));
        };
        effects = hand_over.step(event, server.clock().now(), server.store());
    }
}

fn carry_out<D: Disk>(
    effect: Effect,
    store: Store<D>,
    owner: Arc<dyn Replica>,
) -> BoxFuture<'static, Event> {
    match effect {
        Effect::Ask { tag, request } => async move {
            match call(&*owner, request).await {
                Ok(reply) => Event::Answer { tag, reply },
                Err(why) => Event::Failed { why },
            }
        }
        .boxed(),
        Effect::Record { tag, key } => async move {
            let read = tokio::task::spawn_blocking(move || store.get(&key)).await;
            let record = read.ok().and_then(Result::ok);
            let record = record.and_then(|(_, record)| record);
            Event::Record { tag, record }
        }
        .boxed(),
        Effect::Chunk {
            tag,
            key,
            version,
            index,
        } => async move {
            let read = tokio::task::spawn_blocking(move || store.chunk(&key, version, index)).await;
            let chunk = read.ok().and_then(Result::ok);
            Event::Chunk { tag, chunk }
        }
        .boxed(),
    }
}
