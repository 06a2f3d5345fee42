-- Sixteen GETs in one write; wrk counts the answers that it waits for.
dofile("report.lua")

local one = wrk.format
function wrk.format() return string.rep(one(), 16) end
