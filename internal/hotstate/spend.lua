-- KEYS[1]  the mark of life      ARGV  name, the caller's clock in ms, record, life in ms
-- KEYS[2]  the proof
--
-- Flushed: no mark. Begun anew: another name. Restarted, even from a file that
-- holds the mark: another run. Failed over, even to a copy that lags: another
-- history. A clock that was set by more than a minute: life in ms meant
-- something else.
local mark = redis.call('GET', KEYS[1])
if not mark then
	return {'lost'}
end
local name, run, history, ahead = string.match(mark, '^(%S+) (%w+) (%w+) (%S+)$')
if name ~= ARGV[1]
	or run ~= string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
	or history ~= string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') then
	return {'lost'}
end
local t = redis.call('TIME')
if math.abs(t[1] * 1000 + math.floor(t[2] / 1000) - tonumber(ARGV[2]) - tonumber(ahead)) > 60000 then
	return {'lost'}
end
local first = redis.call('GET', KEYS[2])
if first then
	return {'held', first}
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return {'first'}
