//! The faults in force: what their begin and their end do to nodes and links.

use hpb_base::Duration;

use super::World;
use crate::faults::{Kind, Loss, Nodes};
use crate::link::{Stop, Weather};
use crate::trace::Tag;

impl World {
    pub(super) fn is_active(&self, is: impl Fn(&Kind) -> bool) -> bool {
        self.active.iter().zip(&self.plan.schedule.faults).any(|(active, fault)| *active && is(&fault.kind))
    }

    pub(super) fn begin(&mut self, index: usize) {
        self.active[index] = true;
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
            Kind::Weather { .. } | Kind::Slow { .. } => self.refresh_links(),
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
            Kind::Cut { .. } | Kind::Weather { .. } | Kind::Slow { .. } => self.refresh_links(),
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
