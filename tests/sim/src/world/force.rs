//! The faults in force: what their begin and their end do to nodes and links.

use hpb_base::Duration;
use hpb_types::Slot;

use super::World;
use crate::faults::{Kind, Loss, Nodes, deaf_after};
use crate::link::{Stop, Weather};
use crate::node::owner_of;
use crate::queue::Event;
use crate::trace::Tag;

impl World {
    pub(super) fn is_active(&self, is: impl Fn(&Kind) -> bool) -> bool {
        self.active.iter().zip(&self.plan.schedule.faults).any(|(active, fault)| *active && is(&fault.kind))
    }

    pub(super) fn begin(&mut self, index: usize) {
        self.active[index] = true;
        // From now on a cut, which is what the matches below and the links know.
        if let Kind::Part { new, breaks } = self.plan.schedule.faults[index].kind {
            self.plan.schedule.faults[index].kind = self.parted(new, breaks);
        }
        let kind = self.plan.schedule.faults[index].kind.clone();
        self.trace.note(self.now, Tag::Begun, 0, index as u64, &[]);
        self.trace.line(self.now, || format!("fault: {kind}"));
        match kind {
            Kind::Crash { node, loss, mid_write: false } => self.crash(node, loss),
            Kind::Crash { node, loss, mid_write: true } => self.nodes[node].doom = Some(loss),
            Kind::FullDisk { node, room } => {
                self.nodes[node].folder.set_room(Some(room));
                self.nodes[node].store.set_full(true);
            }
            Kind::Cut { from, to, breaks, .. } => {
                self.refresh_links();
                if breaks {
                    for (one, other) in self.pairs(from, to) {
                        self.break_session(one, other);
                        self.break_session(other, one);
                    }
                }
            }
            Kind::Part { .. } | Kind::Weather { .. } | Kind::Slow { .. } => self.refresh_links(),
            Kind::Deaf { .. } => self.deafen(),
            Kind::Byzantine { .. } => self.part(),
            Kind::Drift { node, ppm } => {
                self.nodes[node].clock.drift(self.now, ppm);
                self.clock_changed(node);
            }
            Kind::WrongHour { node, error_ms } => {
                self.nodes[node].clock.set_wall(error_ms);
                self.crash(node, Loss::Kill);
                self.restart(node);
            }
            Kind::Leap { node, by } => {
                self.nodes[node].clock.leap(self.now, by);
                self.clock_changed(node);
            }
        }
    }

    pub(super) fn end(&mut self, index: usize) {
        self.active[index] = false;
        let kind = self.plan.schedule.faults[index].kind.clone();
        self.trace.note(self.now, Tag::Ended, 0, index as u64, &[]);
        self.trace.line(self.now, || format!("no longer: {kind}"));
        match kind {
            Kind::Crash { node, .. } => {
                self.nodes[node].doom = None;
                self.restart(node);
            }
            Kind::FullDisk { node, .. } => {
                if !self.is_active(|kind| matches!(kind, Kind::FullDisk { node: other, .. } if *other == node)) {
                    self.nodes[node].folder.set_room(None);
                    self.nodes[node].store.set_full(false);
                }
                self.restart(node);
            }
            Kind::Cut { .. } | Kind::Part { .. } | Kind::Weather { .. } | Kind::Slow { .. } => self.refresh_links(),
            Kind::Deaf { .. } => self.deafen(),
            Kind::Byzantine { .. } => self.part(),
            Kind::Drift { node, .. } => {
                self.nodes[node].clock.drift(self.now, 0);
                self.clock_changed(node);
            }
            Kind::WrongHour { node, .. } => {
                self.nodes[node].clock.set_wall(0);
                self.crash(node, Loss::Kill);
                self.restart(node);
            }
            Kind::Leap { node, .. } => {
                self.crash(node, Loss::Kill);
                self.restart(node);
            }
        }
    }

    /// Looks who is to hear nobody, and who alone hears confirms, as long as that is a fault in force.
    pub(super) fn deafen(&mut self) {
        let mut deaf = Nodes::default();
        let mut faults = self.active.iter().zip(&self.plan.schedule.faults).filter(|(active, _)| **active);
        let in_force = faults.find_map(|(_, fault)| match fault.kind {
            Kind::Deaf { salt, alone_hear } => Some((salt, alone_hear)),
            _ => None,
        });
        self.next_alone_hear = None;
        if let Some((salt, alone_hear)) = in_force {
            let times = self.cast.times;
            let present = times.slot_at(self.now);
            let owners = |slots: std::ops::RangeInclusive<u64>| {
                slots
                    .filter_map(|slot| self.owner(slot))
                    .fold(Nodes::default(), |nodes, node| nodes.or(Nodes::one(node)))
            };
            let is_begun =
                |slot: u64| times.slot_start(slot.saturating_sub(1)) + deaf_after(salt, slot, times.slot) <= self.now;
            let last = if is_begun(present + 1) { present + 1 } else { present };
            deaf = owners(present..=last);
            self.next_alone_hear = alone_hear.then(|| owners(present + 1..=present + 2));
            self.queue.put(self.now + times.slice, Event::Deafen);
        }
        if deaf != self.deaf {
            self.deaf = deaf;
            self.trace.line(self.now, || format!("{deaf} hear nobody"));
            self.refresh_links();
        }
        if self.next_alone_hear.is_none() {
            for (from, to, message) in std::mem::take(&mut self.unheard) {
                self.send(from, to, &message);
            }
        }
    }

    /// Where those of a [`Kind::Part`] part now.
    fn parted(&self, new: Nodes, breaks: bool) -> Kind {
        let founders =
            (0..self.plan.electorate.founders).fold(Nodes::default(), |nodes, node| nodes.or(Nodes::one(node)));
        let owner = self.owner(self.cast.times.slot_at(self.now)).map_or(Nodes::default(), Nodes::one);
        let from = new.without(founders).or(owner);
        Kind::Cut { from, to: from.others(self.plan.nodes), both_ways: true, breaks }
    }

    /// Who is to produce in `slot`, as far as a correct node knows.
    fn owner(&self, slot: u64) -> Option<usize> {
        let known = self.byzantine.others(self.plan.nodes).iter().find_map(|node| self.nodes[node].core.as_ref())?;
        let name = owner_of(known, Slot(slot));
        self.cast.nodes.iter().position(|node| node.name == name)
    }

    /// What a node waits for is due at another time, now that its clock is another.
    fn clock_changed(&mut self, node: usize) {
        self.nodes[node].note_wake(self.now);
        if let Some(cards) = &mut self.cards {
            cards.ring(node, self.now);
        }
    }

    /// Starts a node that is down, unless another fault keeps it down.
    fn restart(&mut self, index: usize) {
        let keeps_down = |kind: &Kind| match kind {
            Kind::Crash { node, .. } | Kind::FullDisk { node, .. } => *node == index,
            _ => false,
        };
        if !self.is_active(keeps_down) {
            self.start(index);
        }
    }

    /// The machines of some nodes, each with those of others.
    fn pairs(&self, from: Nodes, to: Nodes) -> Vec<(usize, usize)> {
        let of =
            |nodes: Nodes| (0..self.nodes.len()).filter(move |machine| nodes.contains(self.nodes[*machine].number));
        of(from).flat_map(|one| of(to).map(move |other| (one, other))).filter(|(one, other)| one != other).collect()
    }

    /// Sets every link and every node's slowness to what the faults in force make of it.
    fn refresh_links(&mut self) {
        for link in &mut self.links {
            link.stop = None;
            link.weather = Weather::default();
        }
        for node in &mut self.nodes {
            node.slow = Duration::ZERO;
        }
        let count = self.nodes.len();
        for (_, fault) in self.active.iter().zip(&self.plan.schedule.faults).filter(|(active, _)| **active) {
            match &fault.kind {
                Kind::Cut { from, to, both_ways, breaks } => {
                    let stop = Some(if *breaks { Stop::Break } else { Stop::Hold });
                    for (one, other) in self.pairs(*from, *to) {
                        let there = &mut self.links[one * count + other];
                        there.stop = there.stop.max(stop);
                        if *both_ways {
                            let back = &mut self.links[other * count + one];
                            back.stop = back.stop.max(stop);
                        }
                    }
                }
                Kind::Weather { from, to, weather } => {
                    for (one, other) in self.pairs(*from, *to) {
                        let link = &mut self.links[one * count + other];
                        link.weather = link.weather.and(*weather);
                    }
                }
                Kind::Deaf { .. } => {
                    let deaf = self.deaf;
                    for (one, other) in self.pairs(Nodes::all(self.plan.nodes), deaf) {
                        let link = &mut self.links[one * count + other];
                        link.stop = link.stop.max(Some(Stop::Hold));
                    }
                }
                Kind::Slow { node, by } => self.nodes[*node].slow = self.nodes[*node].slow.max(*by),
                _ => {}
            }
        }
        self.refresh_wire();
        for from in 0..count {
            for to in 0..count {
                if self.links[from * count + to].stop.is_none() {
                    for message in self.links[from * count + to].release() {
                        self.send(from, to, &message);
                    }
                }
            }
        }
    }
}
