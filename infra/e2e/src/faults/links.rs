use anyhow::Result;
use dmf_lab::{Lab, Proxy};

/// What one process reaches its stores by: it alone is cut off when these are cut.
#[derive(Debug)]
pub struct StoreLinks {
    /// The way to MariaDB.
    pub mariadb: Proxy,
    /// The way to Redis.
    pub redis: Proxy,
}

impl StoreLinks {
    pub(crate) async fn open(lab: &Lab) -> Result<Self> {
        let mariadb = Proxy::start(lab.mariadb().addr()).await?;
        Ok(Self { mariadb, redis: Proxy::start(lab.redis().addr()).await? })
    }

    /// Cuts both.
    pub async fn cut(&self) -> Result<()> {
        self.mariadb.cut().await?;
        Ok(self.redis.cut().await?)
    }

    /// Ends all faults of both.
    pub async fn heal(&self) -> Result<()> {
        self.mariadb.heal().await?;
        Ok(self.redis.heal().await?)
    }
}
