//! Duties that one scheduler at a time has. Nothing breaks when two have one for a moment: it only
//! saves work.

use std::time::Duration;

use super::{
    Queue, Result,
    propose::read,
    scripts::{Call, TAKE_LEAD},
};

impl Queue {
    /// Takes or keeps the lead in `duty` for `lasts`; `token` names the caller.
    pub async fn take_lead(&self, duty: &str, token: &str, lasts: Duration) -> Result<bool> {
        let mut call = Call::new(&TAKE_LEAD, self);
        call.arg(duty).arg(token).arg(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
        read::<i64>(Some(call.run(self).await?)).map(|leads| leads == 1)
    }
}
