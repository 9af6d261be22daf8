-- A routine with another body and the same signature.
CREATE OR REPLACE FUNCTION require_rows(matched bigint, expected integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF matched IS DISTINCT FROM expected THEN
        RAISE EXCEPTION '% of % rows are as the decisions found them', matched, expected USING ERRCODE = 'AL001';
    END IF;
END
$$;
