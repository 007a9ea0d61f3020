//! Cheapest flow of whole units through a network, by successive shortest distances: all paths of one
//! length are filled before any longer one (Ford and Fulkerson's primal-dual method, 1962, with
//! Dinic's blocking flows, 1970, inside each length).

use std::{cmp::Reverse, collections::BinaryHeap};

/// A node.
pub(super) type Node = u32;

const NONE: u32 = u32::MAX;
const FAR: i64 = i64::MAX / 4;

/// A network; edges lie in pairs, each followed by its reverse.
#[derive(Debug, Default)]
pub(super) struct Network {
    first: Vec<u32>,
    next: Vec<u32>,
    to: Vec<Node>,
    room: Vec<u32>,
    cost: Vec<i32>,
}

/// Names an edge of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge(u32);

impl Network {
    /// One more node.
    pub(super) fn node(&mut self) -> Node {
        self.first.push(NONE);
        index(self.first.len() - 1)
    }

    /// An edge for `room` units at `cost` each. Of several ways of one cost those are tried first
    /// whose edges were added last.
    pub(super) fn edge(&mut self, from: Node, to: Node, room: u32, cost: i32) -> Edge {
        let edge = index(self.to.len());
        for (from, to, room, cost) in [(from, to, room, cost), (to, from, 0, -cost)] {
            let number = index(self.to.len());
            self.next.push(self.first[from as usize]);
            self.first[from as usize] = number;
            self.to.push(to);
            self.room.push(room);
            self.cost.push(cost);
        }
        Edge(edge)
    }

    /// Units that flow along the edge.
    pub(super) fn flow(&self, edge: Edge) -> u32 {
        self.room[edge.0 as usize + 1]
    }

    /// Sends as much as possible from `source` to `sink`, at the least cost for that, and answers how
    /// much. No cycle of the network may have a cost below zero.
    pub(super) fn run(&mut self, source: Node, sink: Node) -> u32 {
        let mut total = 0;
        let mut heights = self.first_heights(source);
        loop {
            if !self.raise(source, sink, &mut heights) {
                return total;
            }
            loop {
                let levels = self.levels(source, sink, &heights);
                if levels[sink as usize] == NONE {
                    break;
                }
                total += self.fill(source, sink, &heights, &levels);
            }
        }
    }

    fn edges(&self, node: Node) -> impl Iterator<Item = usize> {
        let mut edge = self.first[node as usize];
        std::iter::from_fn(move || {
            let this = (edge != NONE).then_some(edge as usize)?;
            edge = self.next[this];
            Some(this)
        })
    }

    /// Distances from the source where costs may be below zero.
    fn first_heights(&self, source: Node) -> Vec<i64> {
        let mut heights = vec![FAR; self.first.len()];
        heights[source as usize] = 0;
        let mut queue = std::collections::VecDeque::from([source]);
        let mut waits = vec![false; self.first.len()];
        while let Some(node) = queue.pop_front() {
            waits[node as usize] = false;
            for edge in self.edges(node) {
                let to = self.to[edge];
                let height = heights[node as usize] + i64::from(self.cost[edge]);
                if self.room[edge] > 0 && height < heights[to as usize] {
                    heights[to as usize] = height;
                    if !std::mem::replace(&mut waits[to as usize], true) {
                        queue.push_back(to);
                    }
                }
            }
        }
        heights
    }

    /// What an edge costs beyond the difference of heights: never below zero where there is room.
    fn slope(&self, heights: &[i64], from: Node, edge: usize) -> i64 {
        i64::from(self.cost[edge]) + heights[from as usize] - heights[self.to[edge] as usize]
    }

    /// Makes heights the distances from the source by what room there is now; whether the sink can be
    /// reached.
    fn raise(&self, source: Node, sink: Node, heights: &mut [i64]) -> bool {
        let mut distances = vec![FAR; heights.len()];
        distances[source as usize] = 0;
        let mut heap = BinaryHeap::from([(Reverse(0), source)]);
        while let Some((Reverse(distance), node)) = heap.pop() {
            if distance > distances[node as usize] {
                continue;
            }
            for edge in self.edges(node) {
                let to = self.to[edge];
                if self.room[edge] == 0 || heights[to as usize] == FAR {
                    continue;
                }
                let further = distance + self.slope(heights, node, edge);
                if further < distances[to as usize] {
                    distances[to as usize] = further;
                    heap.push((Reverse(further), to));
                }
            }
        }
        let reached = distances[sink as usize];
        for (height, distance) in heights.iter_mut().zip(distances) {
            if *height != FAR {
                // Beyond the sink nothing matters, but slopes have to stay above zero.
                *height += distance.min(reached);
            }
        }
        reached != FAR
    }

    /// Steps from the source along edges of slope zero.
    fn levels(&self, source: Node, sink: Node, heights: &[i64]) -> Vec<u32> {
        let mut levels = vec![NONE; self.first.len()];
        levels[source as usize] = 0;
        let mut queue = vec![source];
        let mut at = 0;
        while let Some(&node) = queue.get(at) {
            at += 1;
            if node == sink {
                break;
            }
            for edge in self.edges(node) {
                let to = self.to[edge];
                if self.room[edge] > 0
                    && levels[to as usize] == NONE
                    && self.slope(heights, node, edge) == 0
                {
                    levels[to as usize] = levels[node as usize] + 1;
                    queue.push(to);
                }
            }
        }
        levels
    }

    /// Fills paths of rising levels until there is none left.
    fn fill(&mut self, source: Node, sink: Node, heights: &[i64], levels: &[u32]) -> u32 {
        let mut at = self.first.clone();
        let mut path: Vec<u32> = Vec::new();
        let mut node = source;
        let mut total = 0;
        loop {
            if node == sink {
                total += self.send(&path);
                path.clear();
                node = source;
            }
            let edge = at[node as usize];
            if edge == NONE {
                // A dead end: back, and not here again.
                let Some(back) = path.pop() else {
                    return total;
                };
                node = self.to[back as usize ^ 1];
                at[node as usize] = self.next[at[node as usize] as usize];
                continue;
            }
            let to = self.to[edge as usize];
            let rises = levels[to as usize] != NONE
                && levels[to as usize] == levels[node as usize] + 1
                && self.room[edge as usize] > 0
                && self.slope(heights, node, edge as usize) == 0;
            if rises {
                path.push(edge);
                node = to;
            } else {
                at[node as usize] = self.next[edge as usize];
            }
        }
    }

    /// Sends along a path what its narrowest edge takes.
    fn send(&mut self, path: &[u32]) -> u32 {
        let rooms = path.iter().map(|&edge| self.room[edge as usize]);
        let units = rooms.min().unwrap_or_default();
        for &edge in path {
            self.room[edge as usize] -= units;
            self.room[edge as usize ^ 1] += units;
        }
        units
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("networks are far smaller")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_of_the_largest_flows_is_found() {
        // Going straight first, as a greedy one would, costs more in the end.
        let mut network = Network::default();
        let [source, a, b, sink] = std::array::from_fn(|_| network.node());
        let cheap = network.edge(source, a, 1, 1);
        let dear = network.edge(source, b, 2, 4);
        let across = network.edge(a, b, 1, 1);
        let end = network.edge(a, sink, 1, 6);
        network.edge(b, sink, 2, 1);
        assert_eq!(network.run(source, sink), 3);
        let flows = [cheap, dear, across, end].map(|edge| network.flow(edge));
        assert_eq!(flows, [1, 2, 0, 1]);
    }

    #[test]
    fn an_edge_below_zero_is_used_first() {
        let mut network = Network::default();
        let [source, a, b, sink] = std::array::from_fn(|_| network.node());
        network.edge(source, a, 1, 0);
        network.edge(source, b, 1, 0);
        let wanted = network.edge(b, sink, 1, -10);
        let other = network.edge(a, sink, 1, 0);
        assert_eq!(network.run(source, sink), 2);
        assert_eq!([network.flow(wanted), network.flow(other)], [1, 1]);
    }
}
