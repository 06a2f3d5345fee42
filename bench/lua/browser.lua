-- A GET with the 14 headers of a fetch() made by Chrome. wrk asks `format` once, at the start, for the bytes to repeat.
dofile("report.lua")

local fields = {
  "Connection: keep-alive",
  'sec-ch-ua-platform: "Windows"',
  "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
  "sec-ch-ua-mobile: ?0",
  "Accept: application/json, text/plain, */*",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: cors",
  "Sec-Fetch-Dest: empty",
  "Referer: https://app.example.com/dashboard/orders?page=2",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
  "Cookie: session=7f3c1e9ab2d84c5fa06d1b7e3c9f8a42; theme=dark; consent=analytics%3Dfalse; _ga=GA1.1.1234567890.1700000000",
}

function wrk.format()
  local lines = { "GET " .. wrk.path .. " HTTP/1.1", "Host: " .. wrk.headers["Host"] }
  for _, field in ipairs(fields) do lines[#lines + 1] = field end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end
