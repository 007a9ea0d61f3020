//! Who decides placements, when several authors are at it.
//!
//! A placement is a value that a majority accepts under an author's term. An author first gets
//! promises for a term of its own, takes the highest placement that was accepted among those who
//! promised, and publishes it again under the next number; then it goes on from there. The model
//! says nothing of slots: a placement is known by what it was made from. What must hold is that
//! those in force are one chain. That moves are safe on one chain is the model of
//! [`crate::moves`].
//!
//! A placement also says who its members are. So a change of members is decided by a majority of
//! both lists, the one before it and its own.

use stateright::{Model, Property};

use crate::moves::era::{Mask, small};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A member acts on a placement as soon as it has accepted it.
    InForceOnceAccepted,
    /// An author goes on before a majority has accepted.
    GoesOnEarly,
    /// Members accept from an author whose term they promised to refuse.
    NoPromise,
    /// A new author goes on from the placement that it knew, not from the highest it is told of.
    TakesItsOwn,
    /// Only the new members decide about a change of members.
    NewMembersAlone,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::InForceOnceAccepted,
        Self::GoesOnEarly,
        Self::NoPromise,
        Self::TakesItsOwn,
        Self::NewMembersAlone,
    ];
}

/// What is searched through.
#[derive(Debug, Clone)]
pub struct Authors {
    /// Its name in tables.
    pub name: &'static str,
    /// The first members.
    pub first: Mask,
    /// The list that a placement may change to.
    pub second: Mask,
    /// Authors, each with the term of its number. The first leads from the start.
    pub authors: usize,
    /// Placements after which no more are made.
    pub proposals: usize,
    /// The mistake that is planted.
    pub bug: Option<Bug>,
}

/// What a placement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// What it was made from; the first from itself.
    pub parent: u8,
    /// Who its members are.
    pub members: Mask,
}

/// A placement under a number and a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The epoch.
    pub number: u8,
    /// Its author's term.
    pub term: u8,
    /// Which content.
    pub content: u8,
    /// Who has accepted it.
    pub accepted: Mask,
}

impl Proposal {
    fn order(self) -> (u8, u8) {
        (self.number, self.term)
    }
}

/// What a member keeps durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Acceptor {
    /// Terms below are refused.
    pub promised: u8,
    /// The highest proposal that it accepted, by its place.
    pub accepted: u8,
}

/// How far an author has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Author {
    /// It has not begun, or gathers promises.
    Gathering {
        /// From whom it has them.
        from: Mask,
        /// The highest placement that it was told of, by its place.
        best: u8,
    },
    /// It goes on from this proposal of its own, once that is decided.
    Leading(u8),
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Contents, in the order in which they were made.
    pub contents: Vec<Content>,
    /// Proposals, in the order in which they were made.
    pub proposals: Vec<Proposal>,
    /// Members.
    pub members: [Acceptor; 5],
    /// Authors.
    pub authors: Vec<Author>,
}

/// One step of anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A member promises an author to refuse lower terms, and says what it has accepted.
    Promise {
        /// Whom.
        author: usize,
        /// Who.
        member: usize,
    },
    /// An author that has promises enough publishes the highest placement again.
    TakeOver {
        /// Who.
        author: usize,
    },
    /// A member accepts a placement, from the author or from whoever has it.
    Accept {
        /// Which one, by its place.
        proposal: usize,
        /// Who.
        member: usize,
    },
    /// An author makes the next placement, with these members.
    Next {
        /// Who.
        author: usize,
        /// Its members.
        members: Mask,
    },
}

/// Placements in force are one chain.
pub const ONE_CHAIN: &str = "placements in force are one chain";
/// One number, one placement.
pub const ONE_NUMBER: &str = "no two placements are in force under one number";
/// Another author gets something decided.
pub const SUCCEEDS: &str = "another author takes over and goes on";

impl Authors {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether these are a majority of every list that has a say in a content.
    fn is_majority(&self, state: &State, content: u8, of: Mask) -> bool {
        let Content { parent, members } = state.contents[usize::from(content)];
        let before = state.contents[usize::from(parent)].members;
        let most = |list: Mask| of.and(list).count() * 2 > list.count();
        most(members) && (self.has(Bug::NewMembersAlone) || most(before))
    }

    fn is_decided(&self, state: &State, proposal: Proposal) -> bool {
        self.is_majority(state, proposal.content, proposal.accepted)
    }

    fn is_in_force(&self, state: &State, proposal: Proposal) -> bool {
        let is_accepted = proposal.accepted.count() > 0;
        let at_once = self.has(Bug::InForceOnceAccepted) && is_accepted;
        at_once || self.is_decided(state, proposal)
    }

    fn in_force<'a>(&'a self, state: &'a State) -> impl Iterator<Item = Proposal> + 'a {
        let proposals = state.proposals.iter().copied();
        proposals.filter(move |&proposal| self.is_in_force(state, proposal))
    }

    fn promises(&self, state: &State, author: usize, actions: &mut Vec<Action>) {
        let Author::Gathering { from, best } = state.authors[author] else {
            return;
        };
        for member in self.first.or(self.second).members() {
            if state.members[member].promised < term(author) {
                actions.push(Action::Promise { author, member });
            }
        }
        let content = state.proposals[usize::from(best)].content;
        if state.proposals.len() < self.proposals && self.is_majority(state, content, from) {
            actions.push(Action::TakeOver { author });
        }
    }

    fn nexts(&self, state: &State, author: usize, actions: &mut Vec<Action>) {
        let Author::Leading(own) = state.authors[author] else {
            return;
        };
        let own = state.proposals[usize::from(own)];
        let may_go_on = self.is_decided(state, own) || self.has(Bug::GoesOnEarly);
        if state.proposals.len() >= self.proposals || !may_go_on {
            return;
        }
        let mut lists = vec![self.first];
        if self.second != self.first {
            lists.push(self.second);
        }
        actions.extend(
            lists
                .into_iter()
                .map(|members| Action::Next { author, members }),
        );
    }

    fn may_accept(&self, state: &State, proposal: Proposal, member: usize) -> bool {
        let acceptor = state.members[member];
        let has = &state.proposals[usize::from(acceptor.accepted)];
        let content = state.contents[usize::from(proposal.content)];
        let before = state.contents[usize::from(content.parent)];
        let is_asked = content.members.or(before.members).contains(member);
        let is_kept = proposal.term >= acceptor.promised || self.has(Bug::NoPromise);
        is_asked && is_kept && proposal.order() > has.order()
    }

    fn propose(state: &mut State, author: usize, number: u8, content: u8) {
        state.authors[author] = Author::Leading(small(state.proposals.len()));
        state.proposals.push(Proposal {
            number,
            term: term(author),
            content,
            accepted: Mask(0),
        });
    }

    fn promise(&self, state: &mut State, author: usize, member: usize) {
        let acceptor = &mut state.members[member];
        acceptor.promised = term(author);
        let told = acceptor.accepted;
        let Author::Gathering { from, best } = &mut state.authors[author] else {
            return;
        };
        *from = from.with(member);
        let order = |place: u8| state.proposals[usize::from(place)].order();
        if order(told) > order(*best) && !self.has(Bug::TakesItsOwn) {
            *best = told;
        }
    }

    fn take_over(state: &mut State, author: usize) {
        let Author::Gathering { best, .. } = state.authors[author] else {
            return;
        };
        let Proposal {
            number, content, ..
        } = state.proposals[usize::from(best)];
        Self::propose(state, author, number + 1, content);
    }

    fn next(state: &mut State, author: usize, members: Mask) {
        let Author::Leading(own) = state.authors[author] else {
            return;
        };
        let Proposal {
            number, content, ..
        } = state.proposals[usize::from(own)];
        state.contents.push(Content {
            parent: content,
            members,
        });
        let content = small(state.contents.len() - 1);
        Self::propose(state, author, number + 1, content);
    }
}

/// Whether the second content was made from the first, or is it.
fn descends(state: &State, from: u8, mut content: u8) -> bool {
    while content > from {
        content = state.contents[usize::from(content)].parent;
    }
    content == from
}

fn term(author: usize) -> u8 {
    small(author + 1)
}

impl Model for Authors {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let first = Proposal {
            number: 1,
            term: 1,
            content: 0,
            accepted: self.first,
        };
        let content = Content {
            parent: 0,
            members: self.first,
        };
        let gathering = Author::Gathering {
            from: Mask(0),
            best: 0,
        };
        let mut authors = vec![gathering; self.authors];
        authors[0] = Author::Leading(0);
        let mut members = [Acceptor::default(); 5];
        for member in self.first.members() {
            members[member].promised = 1;
        }
        vec![State {
            contents: vec![content],
            proposals: vec![first],
            members,
            authors,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for author in 0..self.authors {
            self.promises(state, author, actions);
            self.nexts(state, author, actions);
        }
        for (at, &proposal) in state.proposals.iter().enumerate() {
            let willing = (0..5).filter(|&member| self.may_accept(state, proposal, member));
            actions.extend(willing.map(|member| Action::Accept {
                proposal: at,
                member,
            }));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Promise { author, member } => self.promise(&mut state, author, member),
            Action::TakeOver { author } => Self::take_over(&mut state, author),
            Action::Next { author, members } => Self::next(&mut state, author, members),
            Action::Accept { proposal, member } => {
                let accepted = &mut state.proposals[proposal];
                accepted.accepted = accepted.accepted.with(member);
                let acceptor = &mut state.members[member];
                acceptor.promised = acceptor.promised.max(accepted.term);
                acceptor.accepted = small(proposal);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_NUMBER, |model: &Self, state: &State| {
                model.in_force(state).all(|one| {
                    let mut all = model.in_force(state);
                    all.all(|other| one.number != other.number || one.content == other.content)
                })
            }),
            Property::always(ONE_CHAIN, |model: &Self, state: &State| {
                model.in_force(state).all(|one| {
                    let mut all = model.in_force(state);
                    all.all(|other| {
                        one.number > other.number || descends(state, one.content, other.content)
                    })
                })
            }),
            Property::sometimes(SUCCEEDS, |model: &Self, state: &State| {
                let mut all = model.in_force(state);
                all.any(|one| one.term > 1 && one.content > 0)
            }),
        ]
    }
}

/// What every test run searches through.
pub fn small_ones() -> Vec<Authors> {
    let three = Mask(0b111);
    let authors = Authors {
        name: "three members, two authors",
        first: three,
        second: three,
        authors: 2,
        proposals: 5,
        bug: None,
    };
    let more = Authors {
        name: "one member becomes three, two authors",
        first: Mask(0b1),
        ..authors.clone()
    };
    vec![authors, more]
}

/// What takes longer.
pub fn large_ones() -> Vec<Authors> {
    let [mut three, mut more] = <[_; 2]>::try_from(small_ones()).expect("two of them");
    let five = Authors {
        name: "three members become five, two authors",
        second: Mask(0b1_1111),
        proposals: 4,
        ..three.clone()
    };
    three.name = "three members, three authors";
    three.authors = 3;
    more.name = "one member becomes three, three authors";
    more.authors = 3;
    vec![three, more, five]
}

/// Where a bug shows.
pub fn showing(bug: Bug) -> Authors {
    let [three, more] = <[_; 2]>::try_from(small_ones()).expect("two of them");
    let authors = match bug {
        Bug::NewMembersAlone | Bug::GoesOnEarly => more,
        _ => three,
    };
    Authors {
        bug: Some(bug),
        ..authors
    }
}
