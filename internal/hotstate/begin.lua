-- KEYS[1]  the mark of life      ARGV  name, the caller's clock in ms
--
-- A store that evicts forgets without a word, so it is refused.
if not string.find(redis.call('INFO', 'memory'), 'maxmemory_policy:noeviction') then
	return 'maxmemory-policy must be noeviction'
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local t = redis.call('TIME')
local ahead = t[1] * 1000 + math.floor(t[2] / 1000) - tonumber(ARGV[2])
redis.call('SET', KEYS[1], table.concat({ARGV[1], run, history, string.format('%.0f', ahead)}, ' '))
return 'ok'
