//! Connections to MariaDB. A call may be cut off at any await: by its deadline, or with the request that it serves.
//! What is left of its answer must not be taken for that of the next call, and its transaction must not go on in
//! another's hands; so a connection goes back to the pool only when what it was borrowed for has come to its end. Any
//! other is closed, and the server rolls back.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Connection as _, Either, Execute, Executor, MySql, MySqlConnection, MySqlPool, SqlStr,
    mysql::{MySqlPoolOptions, MySqlQueryResult, MySqlRow, MySqlStatement, MySqlTypeInfo},
};

use super::{
    Options,
    spares::{Borrowed, Spares, TRUSTED_FOR},
    spelled::{Answer, Statement},
};

/// How every connection is set up. Waits for locks, also for those of whole tables, and transactions that
/// their process has forgotten (it may be frozen) come to an end.
const SESSION: &str = "SET SESSION tx_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = 10,
    lock_wait_timeout = 10, idle_transaction_timeout = 20";
/// How long a connection may take to answer that was idle for longer than it is trusted.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// All connections of a process. Cheap to clone. As an [`Executor`], it runs one statement on a connection of its own.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    connections: MySqlPool,
    spares: Spares,
}

impl Pool {
    /// Connects when it is first used.
    pub(super) fn connect_lazily(options: &Options) -> Self {
        let connect = options
            .connect
            .clone()
            .database(&options.database)
            .charset("utf8mb4")
            .timezone(Some("+00:00".to_owned()));
        let pool = MySqlPoolOptions::new()
            .max_connections(options.max_connections)
            .min_connections(options.min_connections)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(options.idle_timeout)
            .max_lifetime(options.max_lifetime)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query(SESSION).execute(connection).await?;
                    Ok(())
                })
            })
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for < TRUSTED_FOR {
                        return Ok(true);
                    }
                    let ping = tokio::time::timeout(PING_LIMIT, connection.ping()).await;
                    Ok(matches!(ping, Ok(Ok(()))))
                })
            });
        let connections = pool.connect_lazy_with(sqlx::ConnectOptions::disable_statement_logging(connect));
        Self { connections, spares: Spares::default() }
    }

    /// Borrows a connection.
    pub(super) async fn acquire(&self) -> sqlx::Result<Loan> {
        let borrowed = match self.spares.take() {
            Ok(spare) => spare,
            // What is given back meanwhile comes to sqlx's pool, so that nobody waits beside a spare one.
            Err(_waiting) => Borrowed::now(self.connections.acquire().await?),
        };
        Ok(Loan { borrowed: Some(borrowed), spares: self.spares.clone() })
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> sqlx::Result<Transaction> {
        let mut loan = self.acquire().await?;
        sqlx::raw_sql("BEGIN").execute(&mut *loan).await?;
        Ok(Transaction(loan))
    }

    /// Begins a transaction, and runs its first statements in the same round trip; gives the answer of each, with
    /// that of `BEGIN` before them.
    pub(super) async fn begin_with<const COUNT: usize>(
        &self,
        first: &Statement,
    ) -> sqlx::Result<(Transaction, [Answer; COUNT])> {
        let mut loan = self.acquire().await?;
        let answers = Statement::new("BEGIN").then(first).run(&mut loan).await?;
        Ok((Transaction(loan), answers))
    }

    /// Closes every connection; calls in flight finish first.
    pub(super) async fn close(&self) {
        self.spares.close();
        self.connections.close().await;
    }

    /// Connections that are open, of these the idle ones, and the limits.
    pub(super) fn counts(&self) -> (u32, usize, &sqlx::pool::PoolOptions<MySql>) {
        let idle = self.connections.num_idle() + self.spares.len();
        (self.connections.size(), idle, self.connections.options())
    }
}

/// A connection on loan. Dropped before [`Self::give_back`], it is closed.
#[derive(Debug)]
pub(super) struct Loan {
    borrowed: Option<Borrowed>,
    spares: Spares,
}

impl Loan {
    /// Nothing is under way on it any more.
    pub(super) fn give_back(mut self) {
        if let Some(borrowed) = self.borrowed.take() {
            self.spares.put(borrowed);
        }
    }

    /// Gives it back after an answer of the server, be it a refusal.
    fn end<T>(self, answer: &sqlx::Result<T>) {
        if matches!(answer, Ok(_) | Err(sqlx::Error::Database(_) | sqlx::Error::RowNotFound)) {
            self.give_back();
        }
    }

    /// Closes it, with its locks and its settings.
    pub(super) async fn close(mut self) -> sqlx::Result<()> {
        match self.borrowed.take() {
            Some(borrowed) => borrowed.connection.close().await,
            None => Ok(()),
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(borrowed) = &mut self.borrowed {
            borrowed.connection.close_on_drop();
        }
    }
}

#[allow(clippy::expect_used, reason = "it is taken only by what consumes the loan")]
impl Deref for Loan {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.borrowed.as_ref().expect("a loan has its connection until it ends").connection
    }
}

#[allow(clippy::expect_used, reason = "it is taken only by what consumes the loan")]
impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.borrowed.as_mut().expect("a loan has its connection until it ends").connection
    }
}

/// A transaction. Dropped, it is rolled back, and its connection is closed.
#[derive(Debug)]
pub(super) struct Transaction(Loan);

impl Transaction {
    /// Commits. After an error of the connection nobody knows whether it did.
    pub(super) async fn commit(self) -> sqlx::Result<()> {
        self.finish("COMMIT").await
    }

    /// The same, behind the last statements in the same round trip; gives their rows. If the server refuses one of
    /// them, nothing is committed.
    pub(super) async fn commit_with(mut self, last: Statement) -> sqlx::Result<Vec<MySqlRow>> {
        let rows = last.then(&Statement::new("COMMIT")).fetch_rows(&mut self.0).await;
        match &rows {
            Ok(_) => self.0.give_back(),
            // Such as a target uid that is taken.
            Err(sqlx::Error::Database(_)) => self.rollback().await?,
            Err(_) => {}
        }
        rows
    }

    /// Gives up what was done, and keeps the connection: for what is usual.
    pub(super) async fn rollback(self) -> sqlx::Result<()> {
        self.finish("ROLLBACK").await
    }

    async fn finish(mut self, how: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(how).execute(&mut *self.0).await?;
        self.0.give_back();
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.0
    }
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = MySql;

    /// All at once: what a statement gives here is bounded.
    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<MySqlQueryResult, MySqlRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, MySql>,
    {
        let pool = self.clone();
        let all = async move {
            let mut loan = pool.acquire().await?;
            let answer: sqlx::Result<Vec<_>> = loan.fetch_many(query).try_collect().await;
            loan.end(&answer);
            Ok::<_, sqlx::Error>(stream::iter(answer?).map(Ok))
        };
        all.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<MySqlRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, MySql>,
    {
        let pool = self.clone();
        let one = async move {
            let mut loan = pool.acquire().await?;
            let answer = loan.fetch_optional(query).await;
            loan.end(&answer);
            answer
        };
        one.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [MySqlTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<MySqlStatement>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        let prepared = async move {
            let mut loan = pool.acquire().await?;
            let answer = loan.prepare_with(sql, parameters).await;
            loan.end(&answer);
            answer
        };
        prepared.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<MySql>>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        let described = async move {
            let mut loan = pool.acquire().await?;
            let answer = loan.describe(sql).await;
            loan.end(&answer);
            answer
        };
        described.boxed()
    }
}
