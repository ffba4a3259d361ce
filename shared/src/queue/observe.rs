//! What the queue knows of running jobs: read by reaper and reconciler, changed by neither call.

use std::collections::HashMap;

use redis::Value;

use super::{Error, Hold, Queue, Result, Ticket, propose::read};
use crate::domain::ids::{Epoch, HostId, JobId, TargetId};

/// Which life of Redis and of the queues an answer came from. Another one means that whatever was
/// observed before says nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    run_id: String,
    generation: Option<String>,
}

impl Life {
    /// A life that differs from that of any other number.
    #[doc(hidden)]
    pub fn for_test(n: u32) -> Self {
        Self { run_id: n.to_string(), generation: None }
    }
}

/// A slot that is taken, as the queue has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSlot {
    /// What holds it.
    pub hold: Hold,
    /// The source host.
    pub host: HostId,
    /// The target.
    pub target: TargetId,
    /// Raised by each heartbeat; 0 of a proposal.
    pub beat: u64,
}

fn parse(text: &str) -> Result<HeldSlot> {
    let fields: Vec<u64> =
        text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| Error::Inconsistent)?;
    let [epoch, host, target, _priority, _sequence, beat] = fields[..] else {
        return Err(Error::Inconsistent);
    };
    let id = |n| u32::try_from(n).map_err(|_| Error::Inconsistent);
    let (hold, beat) =
        if epoch == 0 { (Hold::Proposal(Ticket(beat)), 0) } else { (Hold::Lease(Epoch(epoch)), beat) };
    Ok(HeldSlot { hold, host: HostId(id(host)?), target: TargetId(id(target)?), beat })
}

impl Queue {
    /// The life that Redis and the queues are in.
    pub async fn life(&self) -> Result<Life> {
        Ok(self.slots_of(&[]).await?.0)
    }

    /// The source hosts whose limits were told.
    pub async fn known_hosts(&self) -> Result<Vec<HostId>> {
        let mut keys = redis::cmd("HKEYS");
        keys.arg(format!("{}hosts", self.prefix()));
        let mut connection = self.connection()?;
        let hosts: Vec<u32> = tokio::time::timeout(self.deadline(), keys.query_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        Ok(hosts.into_iter().map(HostId).collect())
    }

    /// The slots of these jobs, `None` where the queue knows none, and the life they were read from.
    /// One round trip.
    pub async fn slots_of(&self, jobs: &[JobId]) -> Result<(Life, Vec<Option<HeldSlot>>)> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("INFO").arg("server");
        pipe.cmd("GET").arg(format!("{}gen", self.prefix()));
        let read_held = pipe.cmd("HMGET").arg(format!("{}held", self.prefix()));
        // HMGET wants at least one field; no member is called so.
        read_held.arg("-");
        for job in jobs {
            read_held.arg(job.to_string());
        }
        let mut connection = self.connection()?;
        let (info, generation, held): (String, Option<String>, Vec<Option<String>>) =
            tokio::time::timeout(self.deadline(), pipe.query_async(&mut connection))
                .await
                .map_err(|_| Error::TimedOut)??;
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim();
        let slots = held.into_iter().skip(1).map(|text| text.as_deref().map(parse).transpose());
        Ok((Life { run_id: run_id.to_owned(), generation }, slots.collect::<Result<_>>()?))
    }

    /// Every slot that is taken: as many as migrations run, in pages of some hundred.
    pub async fn all_slots(&self) -> Result<HashMap<JobId, HeldSlot>> {
        let mut slots = HashMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(format!("{}held", self.prefix())).arg(&cursor).arg("COUNT").arg(500);
            let mut connection = self.connection()?;
            let answer: Value = tokio::time::timeout(self.deadline(), scan.query_async(&mut connection))
                .await
                .map_err(|_| Error::TimedOut)??;
            let Value::Array(mut answer) = answer else { return Err(Error::Inconsistent) };
            let page: HashMap<String, String> = read(answer.pop())?;
            cursor = read(answer.pop())?;
            for (member, text) in page {
                slots.insert(member.parse().map_err(|_| Error::Inconsistent)?, parse(&text)?);
            }
            if cursor == "0" {
                return Ok(slots);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_scripts_write() {
        let slot = parse("3:7:1:0:12:9").unwrap();
        assert_eq!(
            (slot.hold, slot.host, slot.target, slot.beat),
            (Hold::Lease(Epoch(3)), HostId(7), TargetId(1), 9)
        );
        let proposal = parse("0:7:1:1:12:5").unwrap();
        assert_eq!((proposal.hold, proposal.beat), (Hold::Proposal(Ticket(5)), 0));
        for bad in ["", "1:2:3", "a:7:1:0:12:9", "1:7:1:0:12:9:1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
