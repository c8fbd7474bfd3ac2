-- A steady load far below the limit: every connection waits 20 ms before its next request.
function delay() return 20 end
