// @generated automatically by Diesel CLI.

diesel::table! {
    dry_runs (target_id, id, started_at) {
        id -> Int8,
        started_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        target_id -> Int8,
        kind -> Text,
        state -> Text,
        token_id -> Nullable<Int8>,
        token_name -> Text,
        logic -> Text,
        code_hash -> Text,
        code -> Nullable<Text>,
        subject_id -> Nullable<Int8>,
        run_id -> Nullable<Text>,
        runs -> Int8,
        hosts -> Array<Nullable<Text>>,
        exchange_count -> Int8,
        exchanges -> Jsonb,
    }
}

diesel::table! {
    former_names (store_id, field, name, subject_id) {
        store_id -> Int8,
        field -> Text,
        name -> Text,
        subject_id -> Int8,
        version -> Int8,
        since -> Timestamptz,
    }
}

diesel::table! {
    guard_released (target_id, step) {
        target_id -> Int8,
        step -> Timestamptz,
        released -> Int8,
    }
}

diesel::table! {
    held (id) {
        id -> Int8,
        target_id -> Int8,
        trigger -> Text,
        count -> Int8,
        allowed -> Int8,
        present -> Int8,
        grows -> Bool,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        state -> Text,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<Timestamptz>,
        decided_by_token -> Nullable<Int8>,
        decided_by_address -> Nullable<Text>,
    }
}

diesel::table! {
    import_seen (import_id, subject_id) {
        import_id -> Int8,
        subject_id -> Int8,
    }
}

diesel::table! {
    import_waiting (import_id, number) {
        import_id -> Int8,
        number -> Int8,
        account_id -> Nullable<Int8>,
        external_id -> Nullable<Text>,
        user_name -> Text,
        draft -> Text,
    }
}

diesel::table! {
    logic_artefacts (id) {
        id -> Text,
        code -> Text,
        source_map -> Nullable<Text>,
        packages -> Jsonb,
        lock -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    logic_canaries (id) {
        id -> Int8,
        target_id -> Int8,
        version -> Int4,
        base_version -> Int4,
        subjects -> Nullable<Array<Nullable<Int8>>>,
        percent -> Nullable<Int4>,
        max_failure_percent -> Int4,
        min_runs -> Int4,
        runs -> Int8,
        failures -> Int8,
        base_runs -> Int8,
        base_failures -> Int8,
        state -> Text,
        started_by -> Text,
        started_at -> Timestamptz,
        ended_by -> Nullable<Text>,
        ended_at -> Nullable<Timestamptz>,
        reason -> Text,
        started_by_token -> Nullable<Int8>,
        started_by_address -> Nullable<Text>,
        ended_by_token -> Nullable<Int8>,
        ended_by_address -> Nullable<Text>,
    }
}

diesel::table! {
    logic_canary_accounts (canary_id, subject_id) {
        canary_id -> Int8,
        subject_id -> Int8,
        failed -> Bool,
    }
}

diesel::table! {
    logic_drafts (target_id) {
        target_id -> Int8,
        code -> Text,
        package_dependencies -> Jsonb,
        updated_at -> Timestamptz,
        language -> Nullable<Text>,
        artefact -> Nullable<Text>,
        report -> Jsonb,
        saved_by -> Text,
        lock -> Nullable<Jsonb>,
        saved_by_token -> Nullable<Int8>,
        saved_by_address -> Nullable<Text>,
    }
}

diesel::table! {
    logic_versions (target_id, version) {
        target_id -> Int8,
        version -> Int4,
        code -> Text,
        package_dependencies -> Jsonb,
        published_by -> Text,
        published_at -> Timestamptz,
        language -> Text,
        artefact -> Text,
        report -> Jsonb,
        note -> Text,
        restores -> Nullable<Int4>,
        published_by_token -> Nullable<Int8>,
        published_by_address -> Nullable<Text>,
    }
}

diesel::table! {
    memberships (member_id, container_id) {
        container_id -> Int8,
        member_id -> Int8,
        role -> Text,
        valid_from -> Nullable<Timestamptz>,
        valid_through -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    pending (target_id, subject_id) {
        target_id -> Int8,
        subject_id -> Int8,
        change_seq -> Int8,
        due_at -> Timestamptz,
        owner -> Nullable<Text>,
        fence -> Int8,
        attempts -> Int4,
        reason -> Nullable<Text>,
        trigger -> Text,
        priority -> Int2,
        changes -> Array<Nullable<Text>>,
        since -> Timestamptz,
        departure -> Nullable<Text>,
        held_id -> Nullable<Int8>,
        sweep_id -> Nullable<Int8>,
        blocked_by -> Nullable<Array<Nullable<Int8>>>,
        blocked_at -> Nullable<Timestamptz>,
        waits_for -> Nullable<Int8>,
    }
}

diesel::table! {
    provision_state (target_id, subject_id) {
        target_id -> Int8,
        subject_id -> Int8,
        status -> Text,
        present -> Bool,
        in_scope -> Bool,
        done_version -> Int8,
        remote_id -> Nullable<Text>,
        metadata -> Nullable<Jsonb>,
        message -> Text,
        error_class -> Nullable<Text>,
        dead -> Bool,
        last_run_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
        fingerprint -> Nullable<Text>,
        cleared_version -> Nullable<Int8>,
        provisioned -> Bool,
        kills -> Int2,
        kills_version -> Nullable<Int8>,
        kills_logic -> Nullable<Int4>,
        kills_reason -> Nullable<Text>,
        taken_version -> Int8,
    }
}

diesel::table! {
    run_replays (target_id, subject_id, started_at) {
        target_id -> Int8,
        subject_id -> Int8,
        started_at -> Timestamptz,
        context -> Text,
        rest -> Jsonb,
        present_before -> Bool,
        wanted -> Bool,
    }
}

diesel::table! {
    runs (target_id, id, started_at) {
        id -> Int8,
        started_at -> Timestamptz,
        finished_at -> Timestamptz,
        target_id -> Int8,
        subject_id -> Int8,
        subject_version -> Int8,
        reason -> Text,
        trigger -> Text,
        attempt -> Int4,
        status_before -> Text,
        status -> Text,
        error_class -> Nullable<Text>,
        message -> Text,
        logic_version -> Int4,
        log -> Jsonb,
        exchanges -> Jsonb,
    }
}

diesel::table! {
    stores (id) {
        id -> Int8,
        name -> Text,
        created_at -> Timestamptz,
        restore_on_return -> Bool,
    }
}

diesel::table! {
    subjects (id) {
        id -> Int8,
        store_id -> Int8,
        kind -> Text,
        external_id -> Nullable<Text>,
        user_name -> Nullable<Text>,
        display_name -> Nullable<Text>,
        status -> Text,
        attributes -> Jsonb,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        written_back -> Array<Nullable<Text>>,
        writers -> Jsonb,
        write_backs_until -> Nullable<Timestamptz>,
        restored_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sweeps (id) {
        id -> Int8,
        target_id -> Int8,
        kind -> Text,
        trigger -> Text,
        cursor -> Int8,
        last_subject -> Int8,
        total -> Int8,
        enqueued -> Int8,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        cancelled -> Bool,
        departures -> Nullable<Int8>,
        held_id -> Nullable<Int8>,
        selection -> Nullable<Jsonb>,
        state -> Text,
        step -> Int8,
        removed -> Int8,
    }
}

diesel::table! {
    target_dependencies (target_id, needs_id) {
        target_id -> Int8,
        needs_id -> Int8,
    }
}

diesel::table! {
    target_secrets (target_id, name) {
        target_id -> Int8,
        name -> Text,
        version -> Int8,
        sealed -> Bytea,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    targets (id) {
        id -> Int8,
        store_id -> Int8,
        name -> Text,
        description -> Text,
        enabled -> Bool,
        mode -> Text,
        paused -> Bool,
        ordering -> Int4,
        max_parallel_jobs -> Int4,
        filter -> Text,
        egress_allow -> Array<Nullable<Text>>,
        config -> Jsonb,
        connection -> Jsonb,
        cpu_limit_ms -> Int4,
        wall_limit_ms -> Int4,
        heap_limit_mib -> Int4,
        retry_attempts -> Int4,
        retry_first_secs -> Int4,
        retry_max_secs -> Int4,
        logic_version -> Nullable<Int4>,
        version -> Int8,
        owner -> Nullable<Text>,
        owner_epoch -> Int8,
        owner_until -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        breaker -> Nullable<Jsonb>,
        resumes -> Int8,
        guard_count -> Nullable<Int4>,
        guard_percent -> Nullable<Int4>,
        isolation -> Text,
        secret_hosts -> Jsonb,
        egress_inside -> Array<Nullable<Text>>,
    }
}

diesel::table! {
    tokens (id) {
        id -> Int8,
        name -> Text,
        role -> Text,
        hash -> Bytea,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(former_names -> stores (store_id));
diesel::joinable!(former_names -> subjects (subject_id));
diesel::joinable!(logic_canaries -> targets (target_id));
diesel::joinable!(logic_canary_accounts -> logic_canaries (canary_id));
diesel::joinable!(logic_drafts -> targets (target_id));
diesel::joinable!(logic_versions -> targets (target_id));
diesel::joinable!(subjects -> stores (store_id));
diesel::joinable!(sweeps -> targets (target_id));
diesel::joinable!(target_secrets -> targets (target_id));
diesel::joinable!(targets -> stores (store_id));

diesel::allow_tables_to_appear_in_same_query!(
    dry_runs,
    former_names,
    guard_released,
    held,
    import_seen,
    import_waiting,
    logic_artefacts,
    logic_canaries,
    logic_canary_accounts,
    logic_drafts,
    logic_versions,
    memberships,
    pending,
    provision_state,
    run_replays,
    runs,
    stores,
    subjects,
    sweeps,
    target_dependencies,
    target_secrets,
    targets,
    tokens,
);
