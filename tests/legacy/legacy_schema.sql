-- The deployed system's database, as its own application makes it. Written from the description
-- of that system alone: it shares nothing with our migrations, which are tested against it.

create table plans (
    name text primary key,
    price_cents int not null,
    chat_messages_per_month int not null,
    created_at timestamp default now()
);

insert into plans (name, price_cents, chat_messages_per_month)
values ('FREE', 0, 3), ('PRO', 7900, 500), ('BUSINESS', 14900, 1000), ('ENTERPRISE', 29900, 2500);

create table users (
    id serial primary key,
    email text unique not null,
    password_hash text not null,
    plan text default 'FREE' references plans (name),
    name text,
    employer text,
    email_verified bool default false,
    is_active bool default true,
    preferred_region text,
    preferred_threat_type text,
    home_location text,
    extra_details jsonb default '{}',
    created_at timestamp default now(),
    updated_at timestamp default now(),
    lifetime_chat_messages int default 0,
    lifetime_travel_assessments int default 0,
    lifetime_map_views int default 0,
    trial_started_at timestamp,
    trial_ends_at timestamp,
    is_trial bool default false,
    stripe_customer_id varchar(255),
    stripe_subscription_id varchar(255),
    is_admin bool
);

create index idx_users_email on users (email);
create index idx_users_plan on users (plan);
create index idx_users_is_admin on users (is_admin);

create table user_usage (
    user_id int primary key references users (id) on delete cascade,
    chat_messages_used int default 0,
    chat_messages_limit int default 3,
    last_reset timestamp default now(),
    created_at timestamp default now(),
    updated_at timestamp default now(),
    email text unique,
    pdf_exports_used int not null default 0
);

create index idx_user_usage_email on user_usage (email);

create function update_updated_at_column() returns trigger as $body$
begin
    new.updated_at = now();
    return new;
end;
$body$ language plpgsql;

create trigger update_users_updated_at before update on users
    for each row execute function update_updated_at_column();
create trigger update_user_usage_updated_at before update on user_usage
    for each row execute function update_updated_at_column();

create table chat_threads (
    id serial primary key,
    user_id int not null references users (id) on delete cascade,
    thread_uuid uuid unique default gen_random_uuid(),
    title text not null,
    investigation_topic text,
    message_count int default 0,
    is_archived bool default false,
    is_deleted bool default false,
    archived_at timestamptz,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);

create index idx_threads_user on chat_threads (user_id, created_at desc);
create index idx_threads_active
    on chat_threads (user_id, is_archived, is_deleted, created_at desc);
create index idx_threads_uuid on chat_threads (thread_uuid);

create view user_active_threads as
    select user_id, count(*) as active_count,
           count(*) filter (where is_archived = true) as archived_count
    from chat_threads where is_deleted = false group by user_id;

create table chat_messages (
    id serial primary key,
    thread_id int not null references chat_threads (id) on delete cascade,
    role varchar(20) not null check (role in ('user', 'assistant', 'system')),
    content text not null,
    timestamp timestamptz default now(),
    created_at timestamptz default now()
);

create index idx_messages_thread on chat_messages (thread_id, created_at);

create function update_thread_stats() returns trigger as $body$
declare
    owner int;
    reset_at timestamp;
begin
    update chat_threads
    set message_count = (select count(*) from chat_messages where thread_id = new.thread_id),
        updated_at = now()
    where id = new.thread_id;

    select user_id into owner from chat_threads where id = new.thread_id;
    select last_reset into reset_at from user_usage where user_id = owner for update;
    if not found then
        insert into user_usage (user_id, chat_messages_used) values (owner, 1);
    elsif date_trunc('month', reset_at) = date_trunc('month', now()::timestamp) then
        update user_usage set chat_messages_used = chat_messages_used + 1 where user_id = owner;
    elsif reset_at is not null then
        update user_usage
        set chat_messages_used = 1, last_reset = date_trunc('month', now()::timestamp)
        where user_id = owner;
    end if;
    return new;
end;
$body$ language plpgsql;

create trigger thread_message_added after insert on chat_messages
    for each row execute function update_thread_stats();

create table travel_itineraries (
    id bigserial primary key,
    user_id int not null,
    itinerary_uuid uuid not null unique default gen_random_uuid(),
    title varchar(255),
    description text,
    data jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    is_deleted bool not null default false,
    deleted_at timestamptz,
    version int not null default 1,
    last_alert_sent_at timestamptz,
    alerts_sent_count int default 0,
    constraint fk_user foreign key (user_id) references users (id) on delete cascade
);

create index idx_itineraries_user_created
    on travel_itineraries (user_id, created_at desc) where is_deleted = false;
create index idx_itineraries_uuid on travel_itineraries (itinerary_uuid) where is_deleted = false;
create index idx_itineraries_user_active on travel_itineraries (user_id) where is_deleted = false;

create function update_itinerary_updated_at() returns trigger as $body$
begin
    new.updated_at = now();
    return new;
end;
$body$ language plpgsql;

create trigger trigger_itinerary_updated_at before update on travel_itineraries
    for each row execute function update_itinerary_updated_at();

create view active_itineraries as
    select i.*, u.email as user_email
    from travel_itineraries i join users u on u.id = i.user_id
    where i.is_deleted = false;

create table feature_usage (
    id serial primary key,
    user_id int references users (id) on delete cascade,
    feature varchar(50) not null,
    usage_count int default 1,
    period_start date not null,
    period_end date not null,
    created_at timestamp default now(),
    unique (user_id, feature, period_start)
);

create index idx_feature_usage_user on feature_usage (user_id, period_start);
create index idx_feature_usage_feature on feature_usage (feature);

create function increment_feature_usage(p_user_id int, p_feature varchar) returns void as $body$
begin
    insert into feature_usage (user_id, feature, usage_count, period_start, period_end)
    values (p_user_id, p_feature, 1, date_trunc('month', current_date)::date,
            (date_trunc('month', current_date) + interval '1 month - 1 day')::date)
    on conflict (user_id, feature, period_start)
    do update set usage_count = feature_usage.usage_count + 1;
end;
$body$ language plpgsql;

create function check_feature_limit(p_user_id int, p_feature varchar, p_limit int)
returns bool as $body$
    select usage_count < p_limit from feature_usage
    where user_id = p_user_id and feature = p_feature
      and period_start = date_trunc('month', current_date)::date;
$body$ language sql;

create function check_thread_limit(p_user_id int, p_limit int) returns bool as $body$
    select coalesce((select active_count from user_active_threads where user_id = p_user_id), 0)
           < p_limit;
$body$ language sql;

create function check_thread_message_limit(p_thread_id int, p_limit int) returns bool as $body$
    select message_count < p_limit from chat_threads where id = p_thread_id;
$body$ language sql;

create function get_monthly_message_count(p_user_id int) returns int as $body$
    select chat_messages_used from user_usage where user_id = p_user_id;
$body$ language sql;
