//! `/healthz` (the process answers) and `/readyz` (and so does the database);
//! for probes, without a token.

use actix_web::{HttpResponse, web};

use super::ApiState;
use crate::http::{Problem, guard};
use crate::storage::{Pool, stores};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    let refuse = || async { Err::<&'static str, _>(guard::method_not_allowed("GET, HEAD")) };
    config
        .service(
            web::resource("/healthz")
                .route(web::get().to(healthy))
                .route(web::head().to(healthy))
                .default_service(web::to(refuse)),
        )
        .service(
            web::resource("/readyz")
                .route(web::get().to(ready))
                .route(web::head().to(ready))
                .default_service(web::to(refuse)),
        );
}

async fn healthy() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

async fn ready(state: web::Data<ApiState>) -> Result<HttpResponse, Problem> {
    state.db.run(Pool::Auth, |connection| stores::list(connection, 0, 1)).await?;
    Ok(HttpResponse::Ok().body("ok\n"))
}
