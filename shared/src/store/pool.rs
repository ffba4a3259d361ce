//! Connections to MariaDB. A call may be cut off at any await: by its deadline, or with the request that it serves.
//! What is left of its answer must not be taken for that of the next call, and its transaction must not go on in
//! another's hands; so a connection goes back to the pool only when what it was borrowed for has come to its end. Any
//! other is closed, and the server rolls back.

use std::ops::{Deref, DerefMut};

use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Either, Execute, Executor, MySql, MySqlConnection, MySqlPool, SqlStr,
    mysql::{MySqlPoolOptions, MySqlQueryResult, MySqlRow, MySqlStatement, MySqlTypeInfo},
};

use super::{
    Options,
    spares::{Borrowed, Spares, TRUSTED_FOR, answers},
    spelled::{Answer, Statement},
};

/// How every connection is set up. Waits for locks, also for those of whole tables, and transactions that
/// their process has forgotten (it may be frozen) come to an end.
const SESSION: &str = "SET SESSION tx_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = 10,
    lock_wait_timeout = 10, idle_transaction_timeout = 20";

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
                    Ok(answers(connection).await)
                })
            });
        let connections = pool.connect_lazy_with(sqlx::ConnectOptions::disable_statement_logging(connect));
        Self { connections, spares: Spares::new(options.min_connections) }
    }

    /// Borrows a connection.
    pub(super) async fn acquire(&self) -> sqlx::Result<Loan> {
        let borrowed = match self.spares.take().await {
            Ok(spare) => spare,
            // What is given back meanwhile comes to sqlx's pool, so that nobody waits beside a spare one.
            Err(_waiting) => Borrowed::now(self.connections.acquire().await?),
        };
        Ok(Loan { borrowed, spares: self.spares.clone() })
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
        // Who comes back to a closed pool is not asked whether it lives.
        let closing = self.connections.close();
        self.spares.close();
        closing.await;
    }

    /// How many connections there are.
    pub(super) fn counts(&self) -> PoolCounts {
        let (spare, kept) = self.spares.counts();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PoolCounts {
            open: self.connections.size(),
            idle: number(self.connections.num_idle() + spare),
            most: self.connections.options().get_max_connections(),
            kept: number(kept),
        }
    }
}

/// How many connections a pool has.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolCounts {
    pub(super) open: u32,
    pub(super) idle: u32,
    /// Most that may be open.
    pub(super) most: u32,
    /// That stay open although nobody needs them.
    pub(super) kept: u32,
}

/// A connection on loan. Dropped before [`Self::give_back`], it is closed.
#[derive(Debug)]
pub(super) struct Loan {
    borrowed: Borrowed,
    spares: Spares,
}

impl Loan {
    /// Nothing is under way on it any more.
    pub(super) fn give_back(self) {
        self.spares.put(self.borrowed);
    }

    /// Gives it back after an answer of the server, be it a refusal.
    fn end<T>(self, answer: &sqlx::Result<T>) {
        match answer {
            Ok(_) | Err(sqlx::Error::RowNotFound) => self.give_back(),
            // It may be the last word of a server that closes the connection.
            Err(sqlx::Error::Database(_)) => self.borrowed.go_home(),
            Err(_) => {}
        }
    }

    /// Closes it, with its locks and its settings.
    pub(super) async fn close(self) -> sqlx::Result<()> {
        self.borrowed.close().await
    }
}

impl Deref for Loan {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.borrowed
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.borrowed
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
            // Such as a target uid that is taken: that is told, also where the connection is lost behind it, and the
            // server rolls back by itself.
            Err(sqlx::Error::Database(_)) => drop(self.rollback().await),
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
