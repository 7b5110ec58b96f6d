//! The queue that the boards of a group share.
//!
//! The broker deals the group's prompts out in turn (MQTT 5, section 4.8.2). A second connection takes them, one at a
//! time: the next one stays at the broker until the one before is safe in the board's queue, so that a board without
//! room holds up neither its own commands nor its connection. Mosquitto gives what it has dealt to a board to nobody
//! else, ever, and goes on dealing to a board that is away. So the boards watch each other's last wills, and one of those
//! left takes a lost board's session over until it is empty, then ends it. `docs/mqtt.md` has the evidence.

use super::desk::Desk;
use super::dispatch::{self, Read};
use super::fault::Fault;
use super::inbound::{Inbound, Receipt, Ticket};
use super::link::Line;
use super::outbox::Message;
use super::{publication, topics};
use crate::jobs::Source;
use rumqttc::{
    DisconnectProperties, DisconnectReasonCode, Publish, QoS, RetainForwardRule, SubscribeFilter,
};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// A prompt of the group that waits for room.
struct Held {
    receipt: Option<Receipt>,
    line: Line,
    publish: Publish,
}

/// What the board knows of its group.
pub(super) struct Fleet {
    pub(super) group: Option<String>,
    room: bool,
    /// At most one a line, as the broker sends no more.
    held: Vec<Held>,
    /// Boards that are away, and when to look at what they left.
    lost: BTreeMap<String, Instant>,
    /// Boards whose prompts are being taken, and when nothing more is expected.
    heirs: BTreeMap<String, Instant>,
}

impl Fleet {
    pub(super) fn new(group: Option<String>) -> Self {
        Self {
            group,
            room: false,
            held: Vec::new(),
            lost: BTreeMap::new(),
            heirs: BTreeMap::new(),
        }
    }

    /// When something is to be done next.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.lost.values().chain(self.heirs.values()).min().copied()
    }
}

impl Desk {
    /// Opens the connection for the group's prompts.
    pub(super) fn open_fleet(&mut self) {
        let Some(group) = &self.fleet.group else {
            return;
        };
        let device = &self.identity.device;
        let will = topics::fleet_member(group, device);
        self.open(Line::Fleet, topics::fleet_client_id(device), Some(will));
    }

    pub(super) fn fleet_up(&mut self, line: &Line, resumed: bool) {
        let Some(group) = self.fleet.group.clone() else {
            return;
        };
        match line {
            Line::Own => {}
            Line::Fleet => {
                let shared = SubscribeFilter {
                    preserve_retain: true,
                    ..SubscribeFilter::new(shared_filter(&group), QoS::AtLeastOnce)
                };
                // Without acknowledgement, or a prompt that waits for room would hold these up.
                let members = SubscribeFilter {
                    retain_forward_rule: RetainForwardRule::OnEverySubscribe,
                    ..SubscribeFilter::new(topics::fleet_member(&group, "+"), QoS::AtMostOnce)
                };
                self.subscribe(line, vec![shared, members]);
                let member = topics::fleet_member(&group, &self.identity.device);
                self.outbox.refresh(&member);
                self.outbox.retain(publication::plain(member, true));
            }
            // Nothing is dealt to it any more; what was dealt comes still.
            Line::Heir(device) if resumed => {
                if let Some(client) = self.client(line) {
                    // If it cannot be said, the connection is gone, and the next one says it.
                    let _ = client.try_unsubscribe(shared_filter(&group));
                }
                self.expect_more(&device.clone());
            }
            Line::Heir(device) => self.end_session(&device.clone()),
        }
    }

    pub(super) fn fleet_down(&mut self, line: &Line, fault: &Fault) {
        self.fleet.held.retain(|held| held.line != *line);
        if let Line::Heir(device) = line {
            // It is back itself, another board was as quick, or the broker is away.
            self.close(line);
            self.fleet.heirs.remove(device);
            let later = Instant::now() + self.pace.slow;
            self.fleet.lost.insert(device.clone(), later);
        } else if fault.slow {
            self.note(format!("prompts of the group: {}", fault.reason));
        }
    }

    /// A message on a line of the group.
    pub(super) fn fleet_message(
        &mut self,
        line: &Line,
        topic: &str,
        publish: Publish,
        ticket: Ticket,
    ) {
        let Some(group) = self.fleet.group.clone() else {
            return;
        };
        if topic != topics::fleet_paint(&group) {
            if let Some(device) = topic.strip_prefix(&topics::fleet_member(&group, "")) {
                self.member(device, publish.payload.as_ref());
            }
            return self.give_back(ticket);
        }
        if publish.retain {
            if let Read::Wrong { id, reply, problem } = dispatch::retained(topic, &publish) {
                self.tell(Inbound::Wrong {
                    id,
                    reply,
                    problem,
                    ticket,
                });
            }
            return;
        }
        if ticket.0.is_none() && !self.fleet.room {
            self.note(format!(
                "{topic}: no room for a prompt that came with QoS 0, which the broker does not keep: use QoS 1"
            ));
            return;
        }
        if let Line::Heir(device) = line {
            // It takes as long as there is no room.
            self.fleet.heirs.remove(device);
        }
        self.fleet.held.push(Held {
            receipt: ticket.0,
            line: line.clone(),
            publish,
        });
        if self.fleet.room {
            self.offer(self.fleet.held.len() - 1);
        }
    }

    pub(super) fn room(&mut self, room: bool) {
        let before = std::mem::replace(&mut self.fleet.room, room);
        if room && !before {
            // Backwards, as one without a receipt goes when it is handed over.
            for index in (0..self.fleet.held.len()).rev() {
                self.offer(index);
            }
        }
    }

    fn offer(&mut self, index: usize) {
        let held = &self.fleet.held[index];
        let ticket = Ticket(held.receipt.clone());
        let inbound = match dispatch::paint(&held.publish, Source::Fleet) {
            Read::Paint(job) => Inbound::Paint { job, ticket },
            Read::Wrong { id, reply, problem } => Inbound::Wrong {
                id,
                reply,
                problem,
                ticket,
            },
            Read::Other(_) | Read::Nothing => return,
        };
        if held.receipt.is_none() {
            self.fleet.held.remove(index);
        }
        self.tell(inbound);
    }

    /// A prompt of the group is safe in the board's queue.
    pub(super) fn fleet_done(&mut self, receipt: &Receipt) {
        self.fleet
            .held
            .retain(|held| held.receipt.as_ref() != Some(receipt));
        if let Line::Heir(device) = &receipt.line
            && self.client(&receipt.line).is_some()
        {
            self.expect_more(&device.clone());
        }
    }

    /// Another board of the group is here or away.
    fn member(&mut self, device: &str, status: &[u8]) {
        if device == self.identity.device || !topics::is_plain_name(device) {
            return;
        }
        if status == b"offline" {
            // It may be back soon, and the boards should not all be as quick.
            let wait = self.pace.first.mul_f64(5.0 + 10.0 * fastrand::f64());
            self.fleet
                .lost
                .insert(device.to_owned(), Instant::now() + wait);
        } else {
            self.fleet.lost.remove(device);
            if self.fleet.heirs.remove(device).is_some()
                || self.client(&Line::Heir(device.to_owned())).is_some()
            {
                let line = Line::Heir(device.to_owned());
                self.fleet.held.retain(|held| held.line != line);
                self.close(&line);
            }
        }
    }

    pub(super) fn fleet_alarm(&mut self) {
        let now = Instant::now();
        let due = |times: &BTreeMap<String, Instant>| -> Vec<String> {
            times
                .iter()
                .filter(|(_, time)| **time <= now)
                .map(|(device, _)| device.clone())
                .collect()
        };
        for device in due(&self.fleet.lost) {
            self.fleet.lost.remove(&device);
            self.open(
                Line::Heir(device.clone()),
                topics::fleet_client_id(&device),
                None,
            );
        }
        for device in due(&self.fleet.heirs) {
            self.end_session(&device);
        }
    }

    fn expect_more(&mut self, device: &str) {
        let idle = Instant::now() + self.pace.first * 5;
        self.fleet.heirs.insert(device.to_owned(), idle);
    }

    /// Nothing is left of a lost board: its session ends, and its name goes.
    fn end_session(&mut self, device: &str) {
        self.fleet.heirs.remove(device);
        let properties = DisconnectProperties {
            session_expiry_interval: Some(0),
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        };
        if let Some(client) = self.client(&Line::Heir(device.to_owned())) {
            // If it cannot be said, the session ends by its age.
            let _ = client.try_disconnect_with_properties(
                DisconnectReasonCode::NormalDisconnection,
                properties,
            );
        }
        if let Some(group) = &self.fleet.group {
            let topic = topics::fleet_member(group, device);
            self.outbox.refresh(&topic);
            self.outbox.retain(Message {
                topic,
                retain: true,
                ..Message::default()
            });
        }
    }

    /// The board goes: another may take what is left for it.
    pub(super) fn fleet_stop(&mut self) {
        if let Some(group) = &self.fleet.group {
            let member = topics::fleet_member(group, &self.identity.device);
            self.outbox.retain(publication::plain(member, false));
        }
    }
}

fn shared_filter(group: &str) -> String {
    format!("$share/{group}/{}", topics::fleet_paint(group))
}
