//! Copies of the objects of one kind, found by the cluster they belong to without looking at all others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

use kube::{
    Resource,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher::Event,
    },
};
use parking_lot::RwLock;

use super::caches::cluster_of;
use crate::{crd::KvCluster, names::Names};

/// Which objects carry the labels of which cluster, by name.
type Index = Arc<RwLock<HashMap<ObjectRef<KvCluster>, BTreeSet<String>>>>;

/// Copies of the objects of one kind; cheap to clone.
#[derive(Debug, Clone)]
pub struct Copies<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store: Store<K>,
    index: Index,
}

impl<K> Copies<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Copies in this store; whoever fills it tells of every event by [`Follower::follow`].
    pub fn new(store: Store<K>) -> (Self, Follower) {
        let index = Index::default();
        let follower = Follower {
            index: index.clone(),
            listed: HashMap::new(),
        };
        (Self { store, index }, follower)
    }

    /// All of them.
    pub fn all(&self) -> &Store<K> {
        &self.store
    }

    /// One of the cluster's namespace, whatever its labels.
    pub fn get(&self, names: &Names, name: &str) -> Option<Arc<K>> {
        self.store
            .get(&ObjectRef::new(name).within(&names.namespace))
    }

    /// Those with the cluster's labels, by name.
    pub fn of(&self, names: &Names) -> Vec<Arc<K>> {
        let cluster = names.reference();
        let known = self.index.read().get(&cluster).cloned().unwrap_or_default();
        let copies = known.iter().filter_map(|name| self.get(names, name));
        // The index may be ahead of the store, or behind it.
        copies
            .filter(|object| cluster_of(&**object).as_ref() == Some(&cluster))
            .collect()
    }

    /// The same, as values.
    pub fn by_name(&self, names: &Names) -> BTreeMap<String, K> {
        let objects = self.of(names).into_iter();
        objects
            .filter_map(|object| Some((object.meta().name.clone()?, (*object).clone())))
            .collect()
    }
}

/// Keeps the index of copies up to date.
#[derive(Debug)]
pub struct Follower {
    index: Index,
    /// What a list that is under way has brought so far.
    listed: HashMap<ObjectRef<KvCluster>, BTreeSet<String>>,
}

impl Follower {
    /// An event of the watch.
    pub fn follow<K: Resource>(&mut self, event: &Event<K>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                // Both: until the list is whole, what was there before is.
                add(&mut self.listed, object);
                add(&mut self.index.write(), object);
            }
            Event::InitDone => *self.index.write() = std::mem::take(&mut self.listed),
            Event::Apply(object) => add(&mut self.index.write(), object),
            Event::Delete(object) => {
                if let (Some(cluster), Some(name)) = (cluster_of(object), &object.meta().name) {
                    let mut index = self.index.write();
                    if let Some(names) = index.get_mut(&cluster) {
                        names.remove(name);
                        if names.is_empty() {
                            index.remove(&cluster);
                        }
                    }
                }
            }
        }
    }
}

fn add<K: Resource>(index: &mut HashMap<ObjectRef<KvCluster>, BTreeSet<String>>, object: &K)
where
    ObjectRef<KvCluster>: Hash + Eq,
{
    if let (Some(cluster), Some(name)) = (cluster_of(object), object.meta().name.clone()) {
        index.entry(cluster).or_default().insert(name);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector;

    use super::*;
    use crate::names::Component;

    fn names(cluster: &str) -> Names {
        Names {
            namespace: "shop".to_owned(),
            cluster: cluster.to_owned(),
        }
    }

    fn map(name: &str, cluster: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.to_owned());
        map.metadata.namespace = Some("shop".to_owned());
        map.metadata.labels = Some(names(cluster).labels(Component::Cluster));
        map
    }

    #[test]
    fn objects_are_found_by_their_cluster_through_events_and_lists() {
        let (store, mut writer) = reflector::store();
        let (copies, mut follower) = Copies::new(store);
        let mut tell = |event: Event<ConfigMap>| {
            follower.follow(&event);
            writer.apply_watcher_event(&event);
        };
        let found = |cluster: &str| -> Vec<String> {
            copies.by_name(&names(cluster)).into_keys().collect()
        };
        tell(Event::Init);
        tell(Event::InitApply(map("a", "one")));
        tell(Event::InitApply(map("b", "two")));
        assert_eq!(found("one"), [""; 0], "half a list is none");
        tell(Event::InitDone);
        assert_eq!(
            (found("one"), found("two")),
            (vec!["a".into()], vec!["b".into()])
        );
        tell(Event::Apply(map("c", "one")));
        assert_eq!(found("one"), ["a", "c"]);
        tell(Event::Apply(map("a", "two")));
        assert_eq!((found("one"), found("two").len()), (vec!["c".into()], 2));
        tell(Event::Delete(map("c", "one")));
        assert_eq!(found("one"), [""; 0]);
        // What was deleted while nobody watched is missing in the next list.
        tell(Event::Init);
        tell(Event::InitApply(map("d", "one")));
        assert_eq!(found("two").len(), 2, "as before until the list is whole");
        tell(Event::InitDone);
        assert_eq!((found("one"), found("two")), (vec!["d".into()], vec![]));
    }
}
